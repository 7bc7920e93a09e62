"""Grain of noise: it is put back where a spectrogram is smooth, and a tone is left alone."""

import math

import pytest
import torch

from tests.helpers import shipped_representation
from vae2ch.bench import grain

REPRESENTATION = shipped_representation("16k")
SAMPLES = REPRESENTATION.segment


@pytest.fixture(scope="module")
def noise():
    return torch.randn(1, SAMPLES, generator=torch.Generator().manual_seed(1)) / 10


def test_white_noise_is_noise_and_a_tone_is_none():
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(SAMPLES) / REPRESENTATION.sample_rate)[None]
    found = grain.is_noise(REPRESENTATION.stft(tone).abs())
    assert not found[:, 62:67].any()  # 1 kHz is bin 63.9
    flat = torch.full((1, *REPRESENTATION.size), 0.5)
    assert grain.is_noise(flat).all()


def test_a_smooth_spectrogram_gets_the_grain_and_the_loudness_of_noise(noise):
    original, level = REPRESENTATION(noise)
    smooth = original.clone()
    smooth[:, 0] = original[:, 0].mean()
    plain, half, whole = (level[:, None] * grain.with_grain(REPRESENTATION, smooth, share) for share in (0, 0.5, 1))
    found = [grain.scores(REPRESENTATION, noise[0], made[0], SAMPLES) for made in (plain, half, whole)]
    distances = [row[2] for row in found]
    assert distances[0] > distances[1] > distances[2]
    loudness = 20 * torch.log10(whole.square().mean().sqrt() / noise.square().mean().sqrt())
    assert abs(loudness) < 1


def test_the_same_sound_has_no_distance(noise):
    assert grain.scores(REPRESENTATION, noise[0], noise[0], SAMPLES)[:4] == [0, 0, 0, 0]
