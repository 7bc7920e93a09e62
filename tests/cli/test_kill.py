"""Runs that are killed, and a disk that is full."""

import os
import re
import signal
import subprocess
import tempfile
import time

import pytest
import torch

from tests.helpers import QUICK, compose
from tests.torture import new_run, start, table, torture, wait_for, write_sounds
from vae2ch.cli import run as running
from vae2ch.cli.record import FINISHED, read_record
from vae2ch.cli.resume import plan
from vae2ch.codec import SoundCodec
from vae2ch.errors import InputError

pytestmark = pytest.mark.slow


def test_a_run_that_is_killed_ends_like_one_that_was_not(tmp_path):
    """A short form of ``make torture``, which kills 20 times."""
    assert torture(tmp_path, kills=1, seed=1, settings=["data.workers=2"], report=lambda _: None) == []


def trained_seconds(run):
    """Time that the training of a checkpoint has taken, over all sessions."""
    callbacks = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    return callbacks["Clock"]["time_elapsed"]["train"]


def test_a_run_with_a_time_limit_has_the_time_that_is_left(tmp_path):
    (tmp_path / "sounds").mkdir()
    write_sounds(tmp_path / "sounds")
    seconds, run, log = 12, tmp_path / "outputs" / "a", tmp_path / "log"
    settings = [f"minutes={seconds / 60}", "trainer.max_epochs=10000", "training.patience=10000", "save_minutes=0.02"]
    first = start(tmp_path, *new_run(tmp_path, "a", *settings))
    assert wait_for(lambda: "first step after" in log.read_text(), first)
    time.sleep(0.4 * seconds)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    killed = trained_seconds(run)
    assert 0.2 * seconds < killed < 0.45 * seconds
    begin = time.monotonic()
    resumed, _ = plan(run, [])
    running.run(resumed.config, run, resumed)
    # one step or save may be held up by another test; time that was not counted would be 0.2 of it, or more
    assert trained_seconds(run) == pytest.approx(seconds, abs=0.15 * seconds)
    assert time.monotonic() - begin > seconds - killed
    rates = [row["train/learning_rate"] for row in table(run) if "train/learning_rate" in row]
    assert rates[-1] < 0.1 * max(rates)  # the schedule has come to its end


# -- a full disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """Mounts file systems of 40 MB; needs the right to do so."""
    mounted = []

    def mount(place):
        place.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("cannot mount a file system")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def begin(place, run):
    """A run in a given folder, in this process."""
    (place / "sounds").mkdir()
    write_sounds(place / "sounds")
    limits = ["save_minutes=0.01", "trainer.limit_test_batches=1"]
    running.run(compose("data=folder", f'data.root="{place / "sounds"}"', *QUICK, *limits), run)


def test_checkpoints_without_space_and_temporary_files_without_any(small_disk, tmp_path, monkeypatch, capfd):
    """A checkpoint of the training takes 69 MB, the weights alone 17 MB; temporary files are not needed."""
    run = tmp_path / "run"
    disk, temporary = small_disk(run / "checkpoints"), small_disk(tmp_path / "tmp")
    (temporary / "full").write_bytes(bytes(39 * 2**20))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    begin(tmp_path, run)
    output = capfd.readouterr().err
    assert re.search(r"cannot save \S+/run/checkpoints/last\.ckpt \(6\d MB\): No space left on device, \d+ MB", output)
    assert [path.name for path in disk.iterdir()] == ["best.ckpt"]
    assert [path.name for path in temporary.iterdir()] == ["full"]
    assert SoundCodec.load(run).vae.latent_dim == 128
    assert read_record(run).state == FINISHED


def test_logs_without_space(small_disk, tmp_path, capfd):
    """Training goes on and is saved; at the end one line says what could not be written."""
    (tmp_path / "elsewhere").mkdir()
    run = small_disk(tmp_path / "run")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    filler = run / "full"
    filler.write_bytes(bytes(40 * 2**20 - 150_000))
    with pytest.raises((InputError, OSError), match="No space left on device"):
        begin(tmp_path, run)
    output = capfd.readouterr()
    assert output.err.count("cannot write TensorBoard's events") == 1
    assert "Traceback" not in output.err
    assert "epoch   1  step    20  validation" in output.out
    assert list(tmp_path.rglob("*.part")) == []
    assert SoundCodec.load(run).vae.latent_dim == 128
    filler.unlink()
    resumed, _ = plan(run, [])
    running.run(resumed.config, run, resumed)
    assert read_record(run).state == FINISHED
    assert (run / "report.html").is_file()
