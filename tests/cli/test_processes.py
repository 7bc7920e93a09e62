"""Two processes train as one, and end together."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import lightning
import pytest
import torch

from tests.helpers import QUICK, ROOT, compose, python
from tests.torture import table, wait_for, write_sounds
from vae2ch.cli import hydra_app
from vae2ch.cli import run as running

TRAIN = ROOT / "train.py"
SETTINGS = (
    *(setting for setting in QUICK if not setting.startswith(("trainer", "data.batch_size"))),
    *("trainer.limit_train_batches=20", "trainer.max_epochs=1", "trainer.precision=32-true", "latent_dim=8"),
    "preset=medium",
)
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=2")
ONE = ("trainer=cpu", "data.batch_size=4")
STEPS = 2
TWO_STEPS = ("start=random", f"trainer.limit_train_batches={STEPS}")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with sounds."""
    place = tmp_path_factory.mktemp("processes")
    (place / "sounds").mkdir()
    write_sounds(place / "sounds")
    return place


def arguments(place, name, *settings):
    return ("data=folder", f"data.root={place / 'sounds'}", f"name={name}", *SETTINGS, *settings)


def train(place, name, *settings, program=(TRAIN,)):
    done = python(*program, *arguments(place, name, *settings), cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "outputs" / name, done


def train_here(place, name, *settings):
    """One process, which is this one."""
    run = place / "outputs" / name
    run.mkdir(parents=True)
    sounds = f'data.root="{place / "sounds"}"'
    running.run(compose("data=folder", sounds, "data.cache=null", *SETTINGS, *settings), run)
    return run, None


def state(run, name="last.ckpt"):
    return torch.load(run / "checkpoints" / name, weights_only=True)


def vector(state_dict):
    return torch.cat([value.flatten() for name, value in sorted(state_dict.items()) if ".vae." in name])


@pytest.fixture(scope="module")
def runs(place):
    """One and two processes, the latter under torchrun, after two steps; and the finished command."""
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", TRAIN)
    one, _ = train_here(place, "one", *ONE, *TWO_STEPS)
    two, done = train(place, "two", *TWO, *TWO_STEPS, program=torchrun)
    return one, two, done


def test_two_processes_have_the_gradient_of_one(runs):
    """Adam's first moment is a mean of the gradients."""
    one, two = (state(run)["optimizer_states"][0]["state"] for run in runs[:2])
    assert one.keys() == two.keys()
    for name, moments in one.items():
        gradient, other = moments["exp_avg"], two[name]["exp_avg"]
        assert torch.linalg.norm(gradient - other) <= 1e-3 * torch.linalg.norm(gradient), name


def test_two_processes_have_the_weights_of_one(runs):
    """Up to rounding, which Adam amplifies where gradients are small: as much as another order within the batch."""
    lightning.seed_everything(0, verbose=False)
    first = vector(running.build(compose(*SETTINGS, *ONE))[1].state_dict())
    one, two = (vector(state(run)["state_dict"]) for run in runs[:2])
    assert torch.linalg.norm(one - two) < 0.15 * torch.linalg.norm(one - first)
    assert torch.allclose(one, two, atol=5e-3)


def test_two_processes_have_the_latents_and_measures_of_one(runs):
    one, two = (state(run)["state_dict"] for run in runs[:2])
    segments = 4 * STEPS
    assert int(one["codec.latents.segments"]) == int(two["codec.latents.segments"]) == segments
    assert torch.allclose(one["codec.latents.peaks"], two["codec.latents.peaks"])
    means = [latents["codec.latents.means"][:segments] for latents in (one, two)]
    assert torch.allclose(*means, atol=1e-3 * float(means[0].abs().max()))
    one, two = map(measures, runs[:2])
    assert one.keys() == two.keys()
    for name in ("val/loss", "test/loss", "test/magnitude", "test/kl", "test/multi_resolution_stft"):
        assert two[name] == pytest.approx(one[name], rel=1e-3), name


def measures(run):
    """The last value of each measure of held-out sounds."""
    cells = {name: value for row in table(run) for name, value in row.items()}
    return {name: value for name, value in cells.items() if name.startswith(("val/", "test/"))}


def test_two_processes_print_one_table_and_no_warning(runs, place):
    _, _, done = runs
    assert done.stdout.count("Sounds in ") == 1
    assert done.stdout.count("Listen ") == 1
    assert "warn" not in done.stderr.lower().replace("omp_num_threads", "")
    assert [path.name for path in (place / "outputs").glob("two*")] == ["two"]


@contextmanager
def begun(place, name):
    """Two processes that train for long and have saved; the first one, and the file of its output."""
    settings = (*TWO, "trainer.max_epochs=50", "save_minutes=0.01")
    command = [sys.executable, str(TRAIN), *map(str, arguments(place, name, *settings))]
    log = place / f"{name}.log"
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=place, stdout=file, stderr=file, start_new_session=True) as process,
    ):
        assert wait_for((place / "outputs" / name / "checkpoints" / "last.ckpt").exists, process)
        yield process, log


def processes_of(option, number):
    """Processes that pgrep finds."""
    found = subprocess.run(["pgrep", option, str(number)], capture_output=True, text=True, check=False)
    return [int(text) for text in found.stdout.split()]


def test_when_one_process_dies_the_run_ends_and_goes_on(place, monkeypatch):
    with begun(place, "dies") as (process, log):
        os.kill(processes_of("-P", process.pid)[0], signal.SIGKILL)
        assert process.wait(60) == 2
    text = log.read_text()
    assert "vae2ch: another process of the run has ended" in text
    assert "Traceback" not in text
    one = ("trainer=cpu", "trainer.devices=1", "trainer.strategy=auto", "data.batch_size=4", "trainer.max_epochs=1")
    monkeypatch.chdir(place)
    hydra_app.main(None, ["resume=outputs/dies", *one])  # in another number of processes


def test_no_process_is_left_when_the_first_one_is_killed(place):
    with begun(place, "killed") as (process, _):
        assert len(processes_of("-g", process.pid)) > 1
        process.kill()
        process.wait()
        for _ in range(50):
            if not (left := processes_of("-g", process.pid)):
                break
            time.sleep(0.2)
        assert left == []
