"""ViSQOL and Zimtohrli: the best score for the same sound, worse ones for noise, also of short and silent sounds."""

import math

import pytest
import torch

pytest.importorskip("visqol")
pytest.importorskip("zimtohrli")
from vae2ch.bench import ear

RATE = 16000


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.1, 1.5])
def test_noise_lowers_the_scores(seconds):
    random = torch.Generator().manual_seed(0)
    tone = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(int(seconds * RATE)) / RATE)
    noise = torch.randn(tone.shape, generator=random)
    same, little, much = (ear.score(tone, tone + amount * noise, RATE) for amount in (0, 0.03, 0.5))
    assert same["visqol"] > 4.7 > little["visqol"] > much["visqol"]
    assert same["zimtohrli"] == 0 < little["zimtohrli"] < much["zimtohrli"]


def test_a_silent_sound_has_no_score():
    assert ear.score(torch.ones(RATE), torch.zeros(RATE), RATE) == {}
