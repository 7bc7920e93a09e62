"""Coarse spectrum of a sound, measured while it is read: equal for near copies, whatever their format and level."""

import base64
import functools

import numpy as np

SECONDS = 1.0  # from the onset, of which the spectrum is taken
SEARCH_SECONDS = 2.0  # in which the onset is looked for, from the first sample that is not silent
ONSET_RATIO = 0.1  # of the peak, which the onset exceeds
SILENT = 1e-4  # amplitude
SEARCHED_SAMPLES = 1 << 14  # at once
EDGES_HZ = np.geomspace(60, 3600, 17)  # of the bands; low enough for the lowest sample rate
RANGE_DB = 40.0  # below the loudest band; what is quieter differs between formats
STEPS_PER_DB = 2


class SpectrumMeter:
    """Collects the beginning of a sound, block by block."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.parts: list[np.ndarray] = []
        self.missing = int((SEARCH_SECONDS + SECONDS) * sample_rate)

    def add(self, block: np.ndarray) -> None:
        """Add samples [S]."""
        if not self.parts:
            block = block[first_sounding(block) :]
        if self.missing > 0 and block.size:
            self.parts.append(block[: self.missing].copy())
            self.missing -= block.size

    def result(self) -> str:
        """Levels of the bands in steps below the loudest, as text; "" for silence."""
        if not self.parts:
            return ""
        wave = from_onset(np.concatenate(self.parts), self.sample_rate)
        return base64.b64encode(band_levels(wave, self.sample_rate).tobytes()).decode()


def first_sounding(wave: np.ndarray) -> int:
    """First sample of ``wave`` [S] that is not silent, or its length."""
    for start in range(0, wave.size, SEARCHED_SAMPLES):
        sounding = np.abs(wave[start : start + SEARCHED_SAMPLES]) > SILENT
        if sounding.any():
            return start + int(sounding.argmax())
    return wave.size


def from_onset(wave: np.ndarray, sample_rate: int, lead: float = 0.0) -> np.ndarray:
    """The second of ``wave`` [S] that begins at its onset, and ``lead`` seconds before it."""
    start = first_sounding(wave)
    amplitude = np.abs(wave[start : start + int(SEARCH_SECONDS * sample_rate)])
    onset = start + int((amplitude > ONSET_RATIO * amplitude.max(initial=0.0)).argmax()) if amplitude.size else 0
    return wave[max(0, onset - int(lead * sample_rate)) : onset + int(SECONDS * sample_rate)]


def band_levels(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Level of each band of ``wave`` [S], in steps below the loudest  [bands] uint8"""
    size, first = band_bins(sample_rate)
    power = np.abs(np.fft.rfft(wave, size)) ** 2
    band = np.add.reduceat(power[: first[-1]], first[:-1])
    decibels = 10 * np.log10(np.maximum(band / max(band.max(), 1e-30), 1e-30))
    return np.round(STEPS_PER_DB * np.minimum(RANGE_DB, -decibels)).astype(np.uint8)


@functools.cache
def band_bins(sample_rate: int) -> tuple[int, np.ndarray]:
    """Size of the Fourier transform, and the first bin of each band, the last one's end included."""
    size = 1 << int(SECONDS * sample_rate - 1).bit_length()
    return size, np.round(EDGES_HZ * size / sample_rate).astype(int)


def levels_of(spectra: list[str]) -> np.ndarray:
    """Levels of spectra that ``result`` has returned, in dB  [N, bands]"""
    rows = [np.frombuffer(base64.b64decode(text), np.uint8) for text in spectra]
    return np.stack(rows).astype(np.float32) / STEPS_PER_DB
