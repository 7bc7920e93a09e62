"""Comparison of waveforms: whether two sounds are the same take.

A rough correlation of many pairs leaves few, which are compared in detail: all bands and the middle of the sound
must agree.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vae2ch.data.prints import BATCH, band_edges, onset
from vae2ch.data.scan import Sound

SECONDS = 0.49  # of a compared part; with the lead 2^13 samples at 16 kHz
LEAD_SECONDS = 0.02  # before the onset, which may be found some milliseconds earlier or later
ATTACK_SECONDS = 0.05  # without which sounds are compared too, as it may be cut
FADE_SECONDS = 0.02  # at the limits of a part, which are not at the same sample in both sounds
BANDWIDTH_HZ = 4000.0  # of the compared waveforms; formats differ above
ROUGH_WHITENING = 0.3  # exponent by which loud partials are reduced, as all takes of a note have the same loudest one
WHITENING = 0.8  # exponent by which loud bands are reduced
BAND_RANGE = 1e-2  # energy of a band relative to the loudest; formats differ in weaker ones
MIN_ROUGH = 0.85  # correlation
MIN_FOR_SECOND = 0.4  # rough correlation from which pairs are also compared without the attack
MIN_CORRELATION = 0.93
MIN_MIDDLE = 0.8  # correlation of the middle, where noise has more share
QUIET = 1e-3  # energy of the middle relative to the beginning, below which it is not compared
MAX_RATIO = 2.0  # between two sounds, of this relative energy
FINER = 4  # oversampling of lags, so that the highest band agrees at one of them


def are_copies(sounds: Sequence[Sound], pairs: np.ndarray, sample_rate: int) -> np.ndarray:
    """Whether pairs of sounds, by position [P, 2], are the same take  [P]"""
    alike = rough_correlations(sounds, pairs, sample_rate) > MIN_ROUGH
    for part in batches(np.flatnonzero(alike)):
        alike[part] = agree_in_detail([(sounds[one], sounds[other]) for one, other in pairs[part]], sample_rate)
    return alike


def batches(places: np.ndarray) -> list[np.ndarray]:
    """Parts of a list of positions."""
    return np.array_split(places, -(-places.size // BATCH)) if places.size else []


def rough_correlations(sounds: Sequence[Sound], pairs: np.ndarray, sample_rate: int) -> np.ndarray:
    """Largest absolute correlation of the beginnings of pairs of sounds, with or without the attack  [P]"""
    found = np.zeros(len(pairs))
    for attack in (True, False):
        for part in batches(np.flatnonzero((found > MIN_FOR_SECOND) | attack)):
            values = rough_correlations_of_batch(sounds, pairs[part], sample_rate, attack)
            found[part] = np.maximum(found[part], values)
    return found


def rough_correlations_of_batch(
    sounds: Sequence[Sound], pairs: np.ndarray, sample_rate: int, attack: bool
) -> np.ndarray:
    """Correlations of a few pairs, over all lags  [P]"""
    places, position = np.unique(pairs, return_inverse=True)
    # circular: a lag of some milliseconds wraps little
    size = transform_size(sample_rate)
    waves = torch.zeros(places.size, size)
    for row, place in zip(waves.numpy(), places, strict=True):
        wave = sounds[place].wave
        copy_part(row, wave, onset(wave, sample_rate), sample_rate, attack)
    bins = min(size // 2, int(BANDWIDTH_HZ * size / sample_rate))
    spectra = roughly_whitened(torch.fft.rfft(waves)[:, :bins])
    first, second = spectra[position.reshape(pairs.shape).T]
    products = torch.nn.functional.pad(first * second.conj(), (0, bins))
    return (torch.fft.ifft(products).abs().amax(dim=1) * 2 * bins).numpy()


def transform_size(sample_rate: int) -> int:
    """Samples of a Fourier transform that has room for a part of a sound."""
    return 1 << int((SECONDS + LEAD_SECONDS) * sample_rate).bit_length()


def copy_part(row: np.ndarray, wave: np.ndarray, start: int, sample_rate: int, attack: bool) -> None:
    """Copy the part of ``wave`` that begins at the onset ``start``; without the attack, if the sound is longer."""
    part = wave[max(0, start - int(LEAD_SECONDS * sample_rate)) : start + int(SECONDS * sample_rate)]
    skipped = 0 if attack else int((LEAD_SECONDS + ATTACK_SECONDS) * sample_rate)
    part = part if part.size < 2 * skipped else part[skipped:]
    row[: part.size] = part


def roughly_whitened(spectra: Tensor) -> Tensor:
    """Spectra [N, F] with less different magnitudes, and a norm of 1."""
    magnitude = spectra.abs()
    floor = 1e-3 * magnitude.amax(dim=1, keepdim=True) + 1e-30
    return normalised(spectra * magnitude.maximum(floor) ** -ROUGH_WHITENING)


def normalised(spectra: Tensor) -> Tensor:
    """Spectra [..., F] with a norm of 1."""
    norm = torch.view_as_real(spectra).square().sum(dim=(-2, -1)).sqrt()  # faster than that of complex numbers
    return spectra / norm.clamp(min=1e-30)[..., None]


def agree_in_detail(pairs: Sequence[tuple[Sound, Sound]], sample_rate: int) -> np.ndarray:
    """Whether a few pairs agree, at the beginning with or without the attack, and in the middle  [P]"""
    size = transform_size(sample_rate)
    waves = torch.zeros(2, len(pairs), 3, size)
    for number, pair in enumerate(pairs):
        starts = [onset(sound.wave, sample_rate) for sound in pair]
        length = min(sound.samples - start for sound, start in zip(pair, starts, strict=True))
        for rows, sound, start in zip(waves[:, number].numpy(), pair, starts, strict=True):
            copy_part(rows[0], sound.wave, start, sample_rate, attack=True)
            copy_part(rows[1], sound.wave, start, sample_rate, attack=False)
            if length > 2 * SECONDS * sample_rate:  # of a shorter sound, the beginning is enough
                copy_part(rows[2], sound.wave, start + length // 2, sample_rate, attack=True)
    fade(waves, sample_rate)
    whole, later, middle = detailed_correlations(waves, sample_rate).T
    ratio = waves[:, :, 2].square().sum(-1) / waves[:, :, 0].square().sum(-1).clamp(min=1e-30)
    low, high = ratio.amin(0), ratio.amax(0)
    middle_agrees = (high < QUIET) | ((middle > MIN_MIDDLE) & (high < MAX_RATIO * low))
    return (middle_agrees & (torch.maximum(whole, later) > MIN_CORRELATION)).numpy()


def fade(waves: Tensor, sample_rate: int) -> None:
    """Fade parts of sounds [..., 3, S] out at the end, and in where they do not begin before the onset."""
    count, end = int(FADE_SECONDS * sample_rate), int((SECONDS + LEAD_SECONDS) * sample_rate)
    ramp = torch.linspace(0, 1, count)
    waves[..., 1:, :count] *= ramp
    waves[..., end - count : end] *= ramp.flip(0)


def detailed_correlations(waves: Tensor, sample_rate: int) -> Tensor:
    """Largest absolute correlations of waves [2, ..., S], in which all bands count  [...]"""
    size = waves.shape[-1]
    edges = torch.from_numpy(band_edges(size, sample_rate))
    spectra = torch.fft.rfft(waves)[..., : int(edges[-1])]
    spectra[..., : int(edges[0])] = 0
    energy = spectra.abs().square().cumsum(-1)[..., edges - 1].diff()
    weight = energy.maximum(BAND_RANGE * energy.amax(-1, keepdim=True)).clamp(min=1e-30) ** (-WHITENING / 2)
    weights = weight.repeat_interleave(edges.diff(), dim=-1)
    first, second = normalised(spectra[..., int(edges[0]) :] * weights)
    products = torch.nn.functional.pad(first * second.conj(), (int(edges[0]), 0))
    lags = 1 << (FINER * int(edges[-1])).bit_length()  # of them a power of two, for speed
    return torch.fft.irfft(products, lags).abs().amax(-1) * lags / 2
