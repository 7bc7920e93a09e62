"""Prints of the spectra of sounds: nearly equal for near copies, whatever their format and level.

Levels of a few bands and moments tell sounds of different colour and decay apart, the strongest partials those of
different pitch, and two takes of a noise. Strong peaks survive a lossy format (Wang 2003, "An Industrial-Strength Audio
Search Algorithm").
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae2ch.data.scan import Sound

SECONDS = 0.5  # from the onset, of which the print is taken
SEARCH_SECONDS = 2.0  # in which the onset is looked for, from the first sample that is not silent
ONSET_RATIO = 0.1  # of the peak, which the onset exceeds
SILENT = 1e-4  # amplitude
SEARCHED_SAMPLES = 1 << 10  # at once
BANDS, SLOTS, PEAKS = 16, 8, 6
LOWEST_HZ, HIGHEST_HZ = 60.0, 3600.0  # low enough for the lowest sample rate
RANGE_DB = 30.0  # below the loudest band; what is quieter differs between formats
FADE_SECONDS = 0.01  # at the onset: a beginning that is cut has an edge, whose spectrum is wide
PEAK_RANGE_DB = 20.0  # below the strongest peak
NO_PEAK = 0
BATCH = 64  # sounds; a transform of many is much faster


class Prints(NamedTuple):
    """Prints of several sounds."""

    levels: np.ndarray  # dB below the loudest, of bands and of slots of time  [N, bands + slots]
    peaks: np.ndarray  # the strongest peaks in bins, the strongest first, or ``NO_PEAK``  [N, peaks]
    seconds: np.ndarray  # length  [N]
    sounding_seconds: np.ndarray  # length without silence at the beginning and the end  [N]
    onsets: np.ndarray  # sample at which the analysed part begins  [N]


def prints_of(sounds: Sequence[Sound], sample_rate: int) -> Prints:
    """Prints of the beginnings of sounds."""
    batches = [sounds[start : start + BATCH] for start in range(0, len(sounds), BATCH)]
    found = [prints_of_batch(batch, sample_rate) for batch in batches]
    return Prints(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def onset(wave: np.ndarray, sample_rate: int) -> int:
    """First sample of ``wave`` [S] that is loud, compared with what follows within seconds."""
    start = first_sounding(wave)
    return start + first_loud(np.asarray(wave[start : start + int(SEARCH_SECONDS * sample_rate)]))


def first_sounding(wave: np.ndarray) -> int:
    """First sample of ``wave`` [S] that is not silent, or its length."""
    for start in range(0, wave.size, SEARCHED_SAMPLES):
        sounding = np.abs(wave[start : start + SEARCHED_SAMPLES]) > SILENT
        if sounding[first := int(sounding.argmax())]:
            return start + first
    return wave.size


def first_loud(wave: np.ndarray) -> int:
    """First sample of ``wave`` [S] that exceeds a fraction of its peak; 0 if it is empty."""
    amplitude = np.abs(wave)
    return int((amplitude > ONSET_RATIO * amplitude.max(initial=0.0)).argmax()) if wave.size else 0


def prints_of_batch(sounds: Sequence[Sound], sample_rate: int) -> Prints:
    """Prints of a few sounds."""
    size, first, window = analysis(sample_rate)
    waves = torch.zeros(len(sounds), size)
    lengths, onsets = [], []
    for row, sound in zip(waves.numpy(), sounds, strict=True):
        wave = sound.wave
        begin = first_sounding(wave)
        start = begin + first_loud(wave[begin : begin + int(SEARCH_SECONDS * sample_rate)])
        part = wave[start : start + window.size]
        np.multiply(part, window[: part.size], out=row[: part.size])
        lengths.append((wave.size, wave.size - begin - first_sounding(wave[::-1])))
        onsets.append(start)
    power = squared_magnitude(torch.fft.rfft(waves)[:, : first[-1]])
    bands = np.add.reduceat(power.numpy(), first[:-1], axis=1)
    slots = waves.unflatten(1, (SLOTS, -1)).square().sum(dim=2).numpy()
    levels = np.concatenate([below_loudest(bands), below_loudest(slots)], axis=1)
    seconds, sounding_seconds = np.array(lengths).T / sample_rate
    return Prints(levels, strongest_peaks(power, int(first[0])), seconds, sounding_seconds, np.array(onsets))


def below_loudest(energy: np.ndarray) -> np.ndarray:
    """Levels in dB below the loudest part of each row, of energies [N, parts]  [N, parts]"""
    loudest = np.maximum(energy.max(axis=1, keepdims=True), 1e-30)
    return np.minimum(RANGE_DB, -10 * np.log10(np.maximum(energy / loudest, 1e-30)))


def squared_magnitude(spectra: Tensor) -> Tensor:
    """Squared magnitude of complex values, in the fastest way here."""
    return (spectra * spectra.conj()).real.contiguous()


def strongest_peaks(power: Tensor, low: int) -> np.ndarray:
    """Places in bins, to a fraction, of the strongest local maxima of power spectra [N, F] from bin ``low``  [N, peaks]

    Source: parabolic interpolation of the logarithm (Smith and Serra 1987, "PARSHL").
    """
    inner = power[:, low + 1 : -1]
    is_peak = (inner > power[:, low:-2]) & (inner >= power[:, low + 2 :])
    values, places = (inner * is_peak).topk(PEAKS)  # the strongest first
    places += low + 1
    before, top, after = (power.gather(1, places + step).clamp(min=1e-30).log() for step in (-1, 0, 1))
    offset = (before - after) / (2 * (before - 2 * top + after)).clamp(max=-1e-6)
    strong = values > 10 ** (-PEAK_RANGE_DB / 10) * values[:, :1]
    return torch.where(strong, places + offset.clamp(-0.5, 0.5), NO_PEAK).numpy()


@functools.cache
def analysis(sample_rate: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Size of the Fourier transform, the first bin of each band and the end of the last one, and a window.

    The window rises within milliseconds, and falls slowly.
    """
    samples = int(SECONDS * sample_rate)
    size = 1 << (samples - 1).bit_length()
    window = np.hanning(2 * samples)[samples:].astype(np.float32)
    fade = int(FADE_SECONDS * sample_rate)
    window[:fade] *= np.hanning(2 * fade)[:fade]
    return size, band_edges(size, sample_rate), window


def band_edges(size: int, sample_rate: int) -> np.ndarray:
    """The first bin of each band and the end of the last one, in a Fourier transform of ``size`` samples."""
    return np.round(np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1) * size / sample_rate).astype(int)
