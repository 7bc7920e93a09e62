import math

import pytest
import torch

from vae2ch.bench.likeness import traits, unlike, wasserstein

RATE = 16000


def struck(hertz=1000.0, fall=40.0, level=0.5, seconds=2.0):
    """A sine that falls by so many dB a second  [1, S]"""
    time = torch.arange(round(RATE * seconds)) / RATE
    return (level * 10 ** (-fall / 20 * time) * torch.sin(2 * math.pi * hertz * time))[None]


def test_traits_of_a_struck_sine():
    found = traits(struck(), RATE)
    assert found["brightness"].item() == pytest.approx(math.log2(1000), abs=0.02)
    assert found["decay"].item() == pytest.approx(20 / 40, abs=0.02)
    assert found["level"].item() == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.7)  # of a frame, falling


def test_silence_has_traits():
    assert all(torch.isfinite(value).all() for value in traits(torch.zeros(2, 1000), RATE).values())


def test_the_wasserstein_distance_of_values_that_are_moved():
    torch.manual_seed(0)
    values = torch.randn(500)
    assert wasserstein(values, values[torch.randperm(500)]) == 0
    assert wasserstein(values, values + 3) == pytest.approx(3, abs=1e-5)
    assert wasserstein(torch.zeros(7), torch.tensor([-1.0, 1.0])) == pytest.approx(1)  # half each way


def test_what_is_unlike_is_what_was_changed():
    louder = unlike(struck(level=0.05), struck(level=0.5), RATE)
    assert louder == pytest.approx({"level": 20, "brightness": 0, "decay": 0}, abs=0.01)
    assert unlike(struck(fall=20), struck(fall=40), RATE)["decay"] == pytest.approx(0.5, abs=0.03)
