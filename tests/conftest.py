import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vae2ch import audio, notes

# the same tests on every machine: no GPU here, nor in the commands that are run
os.environ["CUDA_VISIBLE_DEVICES"] = ""
ROOT = Path(__file__).parent.parent
# a small picture and few steps: the whole path in seconds
QUICK = (
    "representation.n_fft=254",
    "representation.hop=64",
    "representation.frames=32",
    "minutes=null",  # by the clock the learning rate would follow the machine
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=10",
    "data.batch_size=4",
    "media.sounds=2",
)


def python(*arguments, cwd=ROOT):
    """Run a Python command to its end; never raises."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=280, check=False
    )


def refused(done, *parts):
    """Hold a finished command to the contract: one line, status 1 or 2, no traceback."""
    assert done.returncode in (1, 2), done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0], (part, lines[0])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(2)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A user's folder: nine notes, odd names, two of one content, three that can't be used."""
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
    """A run made by the real command; its folder and what it printed."""
    place = tmp_path_factory.mktemp("work place")
    done = python(ROOT / "train.py", "data=folder", f'data.root="{folder}"', "name=first", *QUICK, cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "outputs" / "first", done
