"""Signals, settings and commands that several tests use."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from vae2ch.cli import settings
from vae2ch.config import CodecConfig, ModelConfig, RepresentationConfig
from vae2ch.representation import Representation

ROOT = Path(__file__).parent.parent
# a small spectrogram and few steps: a whole run in seconds
QUICK = (
    "representation.n_fft=254",
    "representation.hop=64",
    "representation.frames=32",
    "minutes=null",  # with a time limit the learning rate would depend on the speed of the machine
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=10",
    "data.batch_size=4",
    "data.epoch_segments=80",  # also limits the segments of the PCA
    "media.sounds=2",
)
REPRESENTATIONS = sorted(path.stem for path in (ROOT / "conf" / "representation").glob("*.yaml"))
SMALL = RepresentationConfig(sample_rate=16000, n_fft=254, hop=64, frames=32, gain=1e4)


def compose(*overrides):
    """Settings of a run, composed from ``conf/``, with a fixed name."""
    return settings.compose(["name=test", "preset=medium", *overrides])


def shipped_representation(option):
    """The representation of ``conf/representation/OPTION.yaml``."""
    return Representation(compose(f"representation={option}").representation)


def small_representation(**changes):
    """128 bins and 32 frames."""
    return Representation(replace(SMALL, **changes))


def small_codec_config(latent_dim=4, **representation):
    """Settings of a small codec."""
    model = ModelConfig(latent_dim=latent_dim, dropout=0.0)
    return CodecConfig(replace(SMALL, **representation), model, amplitude_weight=5e-3, kl_weight=5e-6)


def signals(rate):
    """Waveforms that a transform must return unchanged, by name."""
    torch.manual_seed(1)
    time = torch.arange(rate) / rate
    click = torch.zeros(9999)
    click[777] = 1
    return {
        "click": click,
        "constant": torch.ones(30000),
        "full-scale noise": torch.rand(100_001) * 2 - 1,
        "one sample": torch.tensor([0.3]),
        "two samples": torch.tensor([0.3, -0.9]),
        "odd length": torch.randn(12347) * 0.1,
        "very quiet": torch.randn(20000) * 1e-5,
        "over full scale": torch.randn(20000) * 3,
        "sine": torch.sin(2 * math.pi * 440 * time),
        "chirp": torch.sin(2 * math.pi * (50 + rate / 5 * time) * time),
        "half a minute": torch.randn(30 * rate) * 0.3,
    }


def python(*arguments, cwd=ROOT):
    """Run a Python command to its end; never raises."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=280, check=False
    )


def assert_one_line_error(done, *parts):
    """Assert that a finished command printed one line that contains ``parts``, with status 1 or 2."""
    assert done.returncode in (1, 2), done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0], (part, lines[0])
