"""Near copies: the same take in another format, at another rate, depth or level, or with a few milliseconds cut.

Sounds with nearly equal prints are compared by the correlation of their waveforms, which tells a copy from another take
of the same instrument.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vae2ch.data.prints import BATCH, NO_PEAK, beginning, prints_of
from vae2ch.data.scan import Sound

MAX_LEVEL_DIFFERENCE = 5.0  # dB, root mean square over the bands
MAX_LENGTH_DIFFERENCE = (0.15, 0.02)  # seconds, and relative to the length
MAX_NEIGHBOURS = 64  # in each list of sounds with two common peaks, which are ordered by length
MAX_COMPARED = 3  # sounds with the nearest prints, whose waveforms are compared
MAX_PAIRS = 10_000  # whose waveforms are compared, or one for each sound of a larger collection
MIN_CORRELATION = 0.85  # of the waveforms, at the best lag
MIN_FOR_SECOND = 0.4  # from which the waveforms are also compared without the attack, which may be cut
WHITENING = 0.3  # exponent by which loud partials are reduced, as all takes of a note have the same loudest one
ATTACK_SECONDS = 0.05
LEAD_SECONDS = 0.02  # before the onset, which may be found some milliseconds earlier or later
SECONDS = 0.49  # of the compared waveforms; with the lead 2^13 samples at 16 kHz
BANDWIDTH_HZ = 4000.0  # of the compared waveforms; formats differ above
JOINED_PEAKS = 4  # the strongest, of which near copies have two in common
MIN_COMMON_PEAKS = 3  # of all, or as many as there are
ROW_BITS = 24
CHUNK = 1 << 16  # pairs


def recordings_of(sounds: Sequence[Sound], sample_rate: int) -> dict[str, str]:
    """The recording that each digest belongs to, named by its smallest digest: one for all near copies."""
    by_digest = {sound.digest: sound for sound in sounds}
    digests = sorted(by_digest)
    ordered = [by_digest[digest] for digest in digests]
    pairs = candidates(ordered, sample_rate)
    recording = np.arange(len(digests))  # of each sound, by its first sound's position
    alike = pairs[correlations(ordered, pairs, sample_rate) >= MIN_CORRELATION]
    linked = set(map(tuple, alike.tolist()))
    tried = set(linked)
    while alike.size:
        for first, second in alike:
            if recording[first] == first and recording[second] == second:
                recording[recording == second] = first
        # the recordings' own sounds must be alike too, so that similar sounds do not form a chain
        ends = {
            tuple(sorted(recording[pair].tolist())) for pair in np.array(sorted(linked), int).reshape(-1, 2)
        } - tried
        further = np.array(sorted(pair for pair in ends if pair[0] != pair[1]), int).reshape(-1, 2)
        tried |= ends
        alike = further[correlations(ordered, further, sample_rate) >= MIN_CORRELATION]
    return {digest: digests[first] for digest, first in zip(digests, recording, strict=True)}


def candidates(sounds: Sequence[Sound], sample_rate: int) -> np.ndarray:
    """Pairs of sounds, by position, with nearly the same length and print: the nearest few for each sound  [P, 2]"""
    if len(sounds) < 2:
        return np.zeros((0, 2), int)
    prints = prints_of(sounds, sample_rate)
    seconds = np.array([sound.samples / sample_rate for sound in sounds])
    pairs = pairs_with_common_peaks(prints.peaks, seconds)
    lengths = seconds[pairs]
    tolerance = MAX_LENGTH_DIFFERENCE[0] + MAX_LENGTH_DIFFERENCE[1] * lengths.max(axis=1)
    pairs = pairs[np.abs(lengths[:, 0] - lengths[:, 1]) <= tolerance]
    distance = np.concatenate([level_distance(prints.levels, part) for part in chunks(pairs)])
    pairs, distance = pairs[distance < MAX_LEVEL_DIFFERENCE], distance[distance < MAX_LEVEL_DIFFERENCE]
    order = np.lexsort((distance, pairs[:, 0]))
    pairs = pairs[order]
    rank = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
    nearest = np.lexsort((distance[order], rank))[: max(MAX_PAIRS, len(sounds))]
    chosen = np.sort(nearest[rank[nearest] < MAX_COMPARED])
    return pairs[chosen]


def pairs_with_common_peaks(peaks: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Pairs of rows that have most of their peaks in common, up to a bin  [P, 2]"""
    order = np.argsort(seconds, kind="stable")
    entries = unique(np.concatenate(list(peak_entries(peaks[order]))))
    key, row = entries >> ROW_BITS, entries & ((1 << ROW_BITS) - 1)
    found = [np.zeros(0, np.int64)]
    for step in range(1, MAX_NEIGHBOURS):
        same = np.flatnonzero(key[step:] == key[:-step])
        if not same.size:
            break
        found.append(unique(row[same] << ROW_BITS | row[same + step]))
    joined = unique(np.concatenate(found))
    pairs = np.sort(order[np.stack([joined >> ROW_BITS, joined & ((1 << ROW_BITS) - 1)], axis=1)], axis=1)
    return pairs[np.concatenate([have_common_peaks(peaks, part) for part in chunks(pairs)])]


def unique(values: np.ndarray) -> np.ndarray:
    """Different values, sorted: by sorting, which is faster here than numpy's hashing."""
    values = np.sort(values)
    return values[np.flatnonzero(np.diff(values, prepend=-1))]


def peak_entries(peaks: np.ndarray) -> Iterator[np.ndarray]:
    """Rows, each below the two bins of two of its strongest peaks, or below the bin of its only one."""
    # peaks of neighbouring bins are in one cell of two bins, if not with one offset of the cells then with the other
    rows = np.arange(len(peaks))
    single = peaks[:, 1] == NO_PEAK  # a pure tone
    for first, second in itertools.combinations(range(JOINED_PEAKS), 2):
        low, high = np.sort(peaks[:, [first, second]].astype(np.int64), axis=1).T
        found = (low != NO_PEAK) | ((high != NO_PEAK) & single)
        for offset, other in itertools.product((0, 1), repeat=2):
            cells = ((low + offset) // 2 * 2 + offset) << 16 | ((high + other) // 2 * 2 + other)
            yield (cells << ROW_BITS | rows)[found]


def have_common_peaks(peaks: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Whether pairs of rows have most of their peaks in common  [P]"""
    first, second = peaks[pairs[:, 0]], peaks[pairs[:, 1]]
    common = (np.abs(first[:, :, None] - second[:, None, :]) <= 1) & (first != NO_PEAK)[:, :, None]
    fewer = np.minimum((first != NO_PEAK).sum(axis=1), (second != NO_PEAK).sum(axis=1))
    return common.any(axis=2).sum(axis=1) >= np.minimum(MIN_COMMON_PEAKS, fewer)


def chunks(pairs: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of a list of pairs, at least one."""
    for start in range(0, max(1, len(pairs)), CHUNK):
        yield pairs[start : start + CHUNK]


def level_distance(levels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Root mean square difference of the levels of pairs of rows, in dB  [P]"""
    return np.sqrt(((levels[pairs[:, 0]] - levels[pairs[:, 1]]) ** 2).mean(axis=1))


def correlations(sounds: Sequence[Sound], pairs: np.ndarray, sample_rate: int) -> np.ndarray:
    """Largest absolute correlation of the beginnings of pairs of sounds, with or without the attack  [P]"""
    found = np.zeros(len(pairs))
    for attack in (True, False):
        left = np.flatnonzero((found > MIN_FOR_SECOND) | attack)
        for part in np.array_split(left, -(-left.size // BATCH)) if left.size else []:
            values = correlations_of_batch(sounds, pairs[part], sample_rate, attack)
            found[part] = np.maximum(found[part], values)
    return found


def correlations_of_batch(sounds: Sequence[Sound], pairs: np.ndarray, sample_rate: int, attack: bool) -> np.ndarray:
    """Correlations of a few pairs, over all lags  [P]"""
    places, position = np.unique(pairs, return_inverse=True)
    # circular: a lag of some milliseconds wraps little
    size = 1 << int((SECONDS + LEAD_SECONDS) * sample_rate).bit_length()
    waves = torch.zeros(places.size, size)
    skipped = 0 if attack else int((LEAD_SECONDS + ATTACK_SECONDS) * sample_rate)
    for row, place in zip(waves.numpy(), places, strict=True):
        wave = beginning(sounds[place].wave, sample_rate, SECONDS, lead=LEAD_SECONDS)
        wave = wave if wave.size < 2 * skipped else wave[skipped:]
        row[: wave.size] = wave
    bins = min(size // 2, int(BANDWIDTH_HZ * size / sample_rate))
    spectra = whitened(torch.fft.rfft(waves)[:, :bins])
    first, second = spectra[position.reshape(pairs.shape).T]
    products = torch.nn.functional.pad(first * second.conj(), (0, bins))
    return (torch.fft.ifft(products).abs().amax(dim=1) * 2 * bins).numpy()


def whitened(spectra: Tensor) -> Tensor:
    """Spectra [N, F] with less different magnitudes, and a norm of 1."""
    magnitude = spectra.abs()
    floor = 1e-3 * magnitude.amax(dim=1, keepdim=True) + 1e-30
    spectra = spectra * magnitude.maximum(floor) ** -WHITENING
    return spectra / spectra.norm(dim=1, keepdim=True).clamp(min=1e-30)
