"""Perceptual measures at 48 kHz: ViSQOL and Zimtohrli, where they are installed (the extra ``ear``)."""

import importlib.util
from functools import cache
from typing import Any

import numpy as np
import soxr
from torch import Tensor

RATE = 48000  # of both measures
SILENCE = 0.6  # seconds
MODULES = ("visqol", "zimtohrli")


def installed() -> bool:
    """Whether both measures are installed."""
    return all(importlib.util.find_spec(module) for module in MODULES)


@cache
def visqol() -> Any:
    """ViSQOL in audio mode (Chinen et al. 2020, "ViSQOL v3: an open source production ready ... metric")."""
    from visqol import VisqolApi

    made = VisqolApi()
    made.create(mode="audio")
    return made


@cache
def zimtohrli() -> Any:
    """Zimtohrli (Alakuijala et al. 2025, "Zimtohrli: an efficient psychoacoustic audio similarity metric")."""
    from zimtohrli import Pyohrli

    return Pyohrli()


def score(original: Tensor, estimate: Tensor, sample_rate: int) -> dict[str, float]:
    """ViSQOL's mean opinion score, 1 to 4.7, and Zimtohrli's distance, 0 if alike, of a sound from another [S].

    Empty if one of them is silent.
    """
    if not original.any() or not estimate.any():
        return {}
    pair = [at_48k(wave, sample_rate) for wave in (original, estimate)]
    return {
        "visqol": float(visqol().measure_from_arrays(*pair, RATE).moslqo),
        "zimtohrli": float(zimtohrli().distance(*pair)),
    }


def at_48k(wave: Tensor, sample_rate: int) -> np.ndarray:
    """A sound [S] at the rate of both measures, limited to full scale, with silence at both ends."""
    # ViSQOL compares patches of 0.6 s, the first of which begins in the second half of one
    padded = np.pad(wave.double().numpy(), round(SILENCE * sample_rate))
    return np.clip(soxr.resample(padded, sample_rate, RATE), -1, 1)
