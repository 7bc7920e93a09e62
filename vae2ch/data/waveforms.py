"""Comparison of waveforms: whether two sounds are the same take.

All bands of their beginnings must agree, with or without the attack, and so must the middles of longer sounds.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vae2ch.data.prints import BATCH, band_edges, squared_magnitude
from vae2ch.data.scan import Sound

SECONDS = 0.49  # of a compared part; with the lead 2^13 samples at 16 kHz
LEAD_SECONDS = 0.02  # before the onset, which may be found some milliseconds earlier or later
ATTACK_SECONDS = 0.05  # without which sounds are compared too, as it may be cut
FADE_SECONDS = 0.02  # at the limits of a part, which are not at the same sample in both sounds
WHITENING = 0.8  # exponent by which loud bands are reduced
BAND_RANGE = 1e-2  # energy of a band relative to the loudest; formats differ in weaker ones
MIN_CORRELATION = 0.93
MIN_FOR_SECOND = 0.4  # correlation from which pairs are compared without the attack too
MIN_MIDDLE = 0.8  # correlation of the middle, where noise has more share
QUIET = 1e-3  # energy of the middle relative to the beginning, below which it is not compared
MAX_RATIO = 2.0  # between two sounds, of this relative energy
FINER = 4  # oversampling of lags, so that the highest band agrees at one of them


def are_copies(sounds: Sequence[Sound], onsets: np.ndarray, pairs: np.ndarray, sample_rate: int) -> np.ndarray:
    """Whether pairs of sounds [P, 2], by position in lists of sounds and their onsets [N], are the same take  [P]"""
    found = np.zeros(len(pairs))
    for part in batches(np.arange(len(pairs))):
        waves = parts(sounds, pairs[part], onsets[pairs[part]], sample_rate)
        found[part] = correlations(waves, sample_rate)
    for part in batches(np.flatnonzero((found > MIN_FOR_SECOND) & (found <= MIN_CORRELATION))):
        waves = parts(sounds, pairs[part], onsets[pairs[part]], sample_rate, attack=False)
        found[part] = correlations(fade_in(waves, sample_rate), sample_rate)
    alike = found > MIN_CORRELATION
    for part in batches(np.flatnonzero(alike)):
        alike[part] = middles_agree(sounds, onsets, pairs[part], sample_rate)
    return alike


def batches(places: np.ndarray) -> list[np.ndarray]:
    """Parts of a list of positions."""
    return np.array_split(places, -(-places.size // BATCH)) if places.size else []


def parts(
    sounds: Sequence[Sound], pairs: np.ndarray, starts: np.ndarray, sample_rate: int, attack: bool = True
) -> Tensor:
    """Parts of the sounds of pairs from samples ``starts`` [P, 2], or from after the attack there  [2, P, S]"""
    waves = torch.zeros(2, len(pairs), transform_size(sample_rate))
    for rows, places, begins in zip(waves.transpose(0, 1).numpy(), pairs, starts, strict=True):
        for row, place, start in zip(rows, places, begins, strict=True):
            copy_part(row, sounds[place].wave, start, sample_rate, attack)
    return fade_out(waves, sample_rate)


def middles_agree(sounds: Sequence[Sound], onsets: np.ndarray, pairs: np.ndarray, sample_rate: int) -> np.ndarray:
    """Whether the middles of pairs agree, where both sounds are long enough to have one  [P]"""
    starts = onsets[pairs]
    length = (np.array([[sounds[place].samples for place in pair] for pair in pairs]) - starts).min(axis=1)
    long = length > 2 * SECONDS * sample_rate
    agree = ~long
    if long.any():
        pairs, starts, length = pairs[long], starts[long], length[long]
        middles = fade_in(parts(sounds, pairs, starts + length[:, None] // 2, sample_rate), sample_rate)
        ratio = energy(middles) / energy(parts(sounds, pairs, starts, sample_rate)).clamp(min=1e-30)
        low, high = ratio.amin(0), ratio.amax(0)
        alike = (correlations(middles, sample_rate) > MIN_MIDDLE) & (high < MAX_RATIO * low)
        agree[long] = ((high < QUIET) | alike).numpy()
    return agree


def energy(waves: Tensor) -> Tensor:
    """Energy of waves [..., S]"""
    return waves.square().sum(-1)


def transform_size(sample_rate: int) -> int:
    """Samples of a Fourier transform that has room for a part of a sound."""
    return 1 << int((SECONDS + LEAD_SECONDS) * sample_rate).bit_length()


def copy_part(row: np.ndarray, wave: np.ndarray, start: int, sample_rate: int, attack: bool) -> None:
    """Copy the part of ``wave`` that begins at the onset ``start``; without the attack, if the sound is longer."""
    part = wave[max(0, start - int(LEAD_SECONDS * sample_rate)) : start + int(SECONDS * sample_rate)]
    skipped = 0 if attack else int((LEAD_SECONDS + ATTACK_SECONDS) * sample_rate)
    part = part if part.size < 2 * skipped else part[skipped:]
    row[: part.size] = part


def fade_in(waves: Tensor, sample_rate: int) -> Tensor:
    """Fade in, in place, parts [..., S] that do not begin before the onset."""
    ramp = torch.linspace(0, 1, int(FADE_SECONDS * sample_rate))
    waves[..., : ramp.numel()] *= ramp
    return waves


def fade_out(waves: Tensor, sample_rate: int) -> Tensor:
    """Fade out, in place, parts [..., S]"""
    ramp, end = torch.linspace(1, 0, int(FADE_SECONDS * sample_rate)), int((SECONDS + LEAD_SECONDS) * sample_rate)
    waves[..., end - ramp.numel() : end] *= ramp
    return waves


def correlations(waves: Tensor, sample_rate: int) -> Tensor:
    """Largest absolute correlations of waves [2, P, S], in which all bands count  [P]"""
    size = waves.shape[-1]
    edges = torch.from_numpy(band_edges(size, sample_rate))
    low, high = int(edges[0]), int(edges[-1])
    spectra = torch.fft.rfft(waves)[..., low:high]
    sums = torch.nn.functional.pad(squared_magnitude(spectra).cumsum(-1), (1, 0))
    band = sums[..., edges - low].diff()
    weight = band.maximum(BAND_RANGE * band.amax(-1, keepdim=True)).clamp(min=1e-30) ** (-WHITENING / 2)
    norm = (band * weight.square()).sum(-1, keepdim=True).sqrt().clamp(min=1e-30)
    scale = (weight / norm).prod(dim=0).repeat_interleave(edges.diff(), dim=-1)
    first, second = spectra
    lags = 1 << (FINER * high).bit_length()  # of them a power of two, for speed
    products = torch.nn.functional.pad(first * second.conj() * scale, (low, 0))
    return torch.fft.irfft(products, lags).abs().amax(-1) * lags / 2
