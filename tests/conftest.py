import os
import signal

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported, also in the commands that are run
    os.environ["OMP_NUM_THREADS"] = "1"  # several processes with two threads each would wait for each other

import numpy as np
import pytest
import torch

import train
from tests.helpers import QUICK, ROOT, python
from vae2ch import audio
from vae2ch.cli import hydra_app
from vae2ch.data import notes

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")

# the same tests on every machine: no GPU, neither here nor in the commands that are run
os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(autouse=True)
def _signals():
    """Runs in this process install handlers of signals."""
    before = {number: signal.getsignal(number) for number in map(signal.Signals.__getitem__, SIGNALS)}
    for number in (number for number, handler in before.items() if handler == signal.SIG_IGN):
        signal.signal(number, signal.SIG_DFL)  # as nohup ignores one
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture
def refused(monkeypatch, capsys):
    """Function that runs ``train.py`` in this process, which is faster, and returns the one line of its error."""

    def message(place, *arguments):
        monkeypatch.chdir(place)
        with pytest.raises(SystemExit) as caught:
            hydra_app.main(train.train, arguments)
        assert caught.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return message


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A user's folder: nine notes, unusual names, two with the same content, three files that cannot be used."""
    root = tmp_path_factory.mktemp("my sounds, ünïcode=1")
    (root / "sub folder").mkdir()
    for number, midi in enumerate((50, 53, 57, 60, 64, 67, 70, 74)):
        instrument = list(notes.INSTRUMENTS)[number]
        wave = notes.render(instrument, midi, "mf", seed=0)[: notes.SAMPLE_RATE]
        audio.write(root / "sub folder" / f"{instrument} {midi:03d}.wav", wave, notes.SAMPLE_RATE)
    audio.write(root / "copy.wav", wave, notes.SAMPLE_RATE)
    (root / "empty.wav").write_bytes(b"")
    (root / "text.flac").write_text("not sound")
    audio.write(root / "silent.wav", np.zeros(1000, np.float32), 8000)
    return root


@pytest.fixture(scope="session")
def trained(folder, tmp_path_factory):
    """A run made by the real command: its folder, and the finished process."""
    place = tmp_path_factory.mktemp("work place")
    done = python(ROOT / "train.py", "data=folder", f'data.root="{folder}"', "name=first", *QUICK, cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "outputs" / "first", done
