"""Near copies: the same take in another format, at another rate, depth or level, or with a few milliseconds cut.

Sounds with similar coarse spectra are compared by the correlation of their waveforms, which tells a copy from another
take of the same instrument.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from vae2ch.data.scan import Sound
from vae2ch.data.spectrum import SECONDS, from_onset, levels_of

MAX_LEVEL_DIFFERENCE = 4.0  # dB, root mean square over the bands of the coarse spectra
MAX_LENGTH_DIFFERENCE = (0.15, 0.02)  # seconds, and relative to the length
MAX_COMPARED = 16  # sounds with the most similar spectra, whose waveforms are compared
MIN_CORRELATION = 0.85  # of the waveforms, at the best lag
WHITENING = 0.3  # exponent by which loud partials are reduced, as all takes of a note have the same loudest one
ATTACK_SECONDS = 0.05  # also compared without it, as it outweighs the rest and may be cut
LEAD_SECONDS = 0.02  # before the onset, which may be found some milliseconds earlier or later
BANDWIDTH_HZ = 4000.0  # of the compared waveforms; formats differ above


def recordings_of(sounds: Sequence[Sound], sample_rate: int) -> dict[str, str]:
    """The recording that each digest belongs to, named by its smallest digest: one for all near copies."""
    unique = {sound.digest: sound for sound in sounds}
    digests = sorted(unique)
    recording = {digest: digest for digest in digests}
    waveforms = Waveforms([unique[digest] for digest in digests], sample_rate)
    for place, others in candidates(waveforms.sounds, sample_rate):
        for other, correlation in zip(others, waveforms.correlations(place, others), strict=True):
            names = recording[digests[place]], recording[digests[other]]
            if names[0] != names[1] and correlation >= MIN_CORRELATION:
                merged = {digest: min(names) for digest, name in recording.items() if name in names}
                recording.update(merged)
    return recording


def candidates(sounds: Sequence[Sound], sample_rate: int) -> Iterator[tuple[int, np.ndarray]]:
    """Positions of sounds, each with those of later ones that have similar coarse spectra and lengths."""
    places = np.array([place for place, sound in enumerate(sounds) if sound.spectrum], int)
    if places.size < 2:
        return
    levels = levels_of([sounds[place].spectrum for place in places])
    seconds = np.array([sounds[place].samples / sample_rate for place in places], np.float32)
    square = (levels**2).sum(axis=1)
    limit = MAX_LEVEL_DIFFERENCE**2 * levels.shape[1]
    for row in range(places.size - 1):
        later = slice(row + 1, None)
        distance = square[row] + square[later] - 2 * levels[later] @ levels[row]
        near = np.flatnonzero(distance < limit)
        if not near.size:
            continue
        lengths = seconds[later][near]
        tolerance = MAX_LENGTH_DIFFERENCE[0] + MAX_LENGTH_DIFFERENCE[1] * np.maximum(lengths, seconds[row])
        near = near[np.abs(lengths - seconds[row]) <= tolerance]
        if near.size:
            nearest = near[np.argsort(distance[near], kind="stable")[:MAX_COMPARED]]
            yield int(places[row]), places[later][nearest]


class Waveforms:
    """Spectra of the beginnings of sounds, computed when first needed."""

    def __init__(self, sounds: Sequence[Sound], sample_rate: int) -> None:
        self.sounds, self.sample_rate = sounds, sample_rate
        # twice the length, so that a lag does not wrap around
        self.size = 1 << int(2 * (SECONDS + LEAD_SECONDS) * sample_rate - 1).bit_length()
        self.bins = min(self.size // 2, int(BANDWIDTH_HZ * self.size / sample_rate))
        self.known: dict[int, np.ndarray] = {}

    def spectra(self, place: int) -> np.ndarray:
        """Normalised spectra of a sound's beginning and of what follows the attack, up to the bandwidth  [2, bins]"""
        if place not in self.known:
            wave = from_onset(self.sounds[place].wave, self.sample_rate, lead=LEAD_SECONDS)
            attack = int((LEAD_SECONDS + ATTACK_SECONDS) * self.sample_rate)
            parts = (wave, wave[attack:] if wave.size > 2 * attack else wave)
            self.known[place] = np.stack([whitened(np.fft.rfft(part, self.size)[: self.bins]) for part in parts])
        return self.known[place]

    def correlations(self, place: int, others: np.ndarray) -> np.ndarray:
        """Largest absolute correlation with other sounds over all lags, with or without the attack  [others]"""
        found = np.stack([self.spectra(other) for other in others]) * self.spectra(place).conj()
        return np.abs(np.fft.ifft(found, 2 * self.bins)).max(axis=(1, 2)) * 2 * self.bins


def whitened(spectrum: np.ndarray) -> np.ndarray:
    """A spectrum with less different magnitudes, and a norm of 1."""
    magnitude = np.abs(spectrum)
    spectrum = spectrum * np.maximum(magnitude, 1e-3 * magnitude.max() + 1e-30) ** -WHITENING
    return (spectrum / max(float(np.linalg.norm(spectrum)), 1e-30)).astype(np.complex64)
