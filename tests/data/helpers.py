"""Sounds, collections and settings for the tests of the data."""

from dataclasses import replace
from functools import partial

import numpy as np

from tests.helpers import SMALL, compose
from vae2ch import audio
from vae2ch.data import SoundDataModule
from vae2ch.data.scan import Sound

RATE = SMALL.sample_rate


def noise(samples, silent=(), seed=0):
    """Noise with some silent intervals  [samples]"""
    wave = np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)
    for start, stop in silent:
        wave[start:stop] = 0
    return wave


def sound(wave, name="a.wav", digest="digest", remark=""):
    """A sound in memory."""
    return Sound(name, digest, remark, wave.size, partial(np.asarray, wave))


def write_noise(root, *names, samples=4000, rate=RATE):
    """Write files of different noises."""
    for number, name in enumerate(names):
        audio.write(root / name, noise(samples, seed=number), rate)


def data_config(root, **changes):
    """Settings for a folder of sounds, without a cache."""
    base = {"source": "folder", "root": str(root), "cache": None, "batch_size": 4, "epoch_segments": 20, "workers": 0}
    return replace(compose().data, **{**base, **changes})


def data_module(root, representation=SMALL, seed=0, **changes):
    """A data module for a folder of sounds, that has read it."""
    augment = replace(compose().augment, speed=0.06, shift=0.05, gain_db=6.0, polarity=True)
    made = SoundDataModule(data_config(root, **changes), augment, representation, seed)
    made.setup()
    return made
