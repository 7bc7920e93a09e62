"""Near copies: the same take in another format, at another rate, depth or level, or with a few milliseconds cut.

Sounds with nearly equal prints are compared by their waveforms, which tells a copy from another take of the same
instrument.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from vae2ch.data.prints import NO_PEAK, Prints, prints_of
from vae2ch.data.scan import Sound
from vae2ch.data.waveforms import are_copies

MAX_LEVEL_DIFFERENCE = 2.0  # dB, root mean square over bands and slots
MAX_LENGTH_DIFFERENCE = (0.15, 0.02)  # seconds, and relative to the length
MAX_NEIGHBOURS = 64  # in each list of sounds with two common peaks, which are ordered by length
MAX_COMPARED = 3  # sounds with the nearest prints, whose waveforms are compared
MAX_PAIRS = 10_000  # whose waveforms are compared, or one for each sound of a larger collection
JOINED_PEAKS = 4  # the strongest, of which near copies have two in common
MIN_COMMON_PEAKS = 3  # of all, or as many as there are
PEAK_TOLERANCE = 0.35  # bins
ROW_BITS, CELL_BITS = 24, 18
CHUNK = 1 << 16  # pairs


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread: on a busy machine, the threads of short transforms wait for each other, for seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def recordings_of(sounds: Sequence[Sound], sample_rate: int) -> dict[str, str]:
    """The recording that each digest belongs to, named by its smallest digest: one for all near copies."""
    by_digest = {sound.digest: sound for sound in sounds}
    digests = sorted(by_digest)
    if len(digests) < 2:
        return {digest: digest for digest in digests}
    ordered = [by_digest[digest] for digest in digests]
    prints = prints_of(ordered, sample_rate)
    pairs = nearest(prints, pairs_with_common_peaks(prints.peaks, prints.seconds))
    recording = np.arange(len(digests))  # of each sound, by its first sound's position
    alike = pairs[are_copies(ordered, prints.onsets, pairs, sample_rate)]
    linked = set(map(tuple, alike.tolist()))
    tried = set(linked)
    while alike.size:
        for first, second in alike:
            if recording[first] == first and recording[second] == second:
                recording[recording == second] = first
        # the recordings' own sounds must be alike too, so that similar sounds do not form a chain
        ends = {tuple(sorted(recording[list(pair)].tolist())) for pair in linked} - tried
        tried |= ends
        further = as_pairs(sorted(pair for pair in ends if pair[0] != pair[1]))
        further = further[are_similar(prints, further)]
        alike = further[are_copies(ordered, prints.onsets, further, sample_rate)]
    return {digest: digests[first] for digest, first in zip(digests, recording, strict=True)}


def as_pairs(pairs: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Pairs as an array  [P, 2]"""
    return np.array(pairs, int).reshape(-1, 2)


def nearest(prints: Prints, pairs: np.ndarray) -> np.ndarray:
    """Pairs of sounds, by position, with nearly equal prints: the nearest few for each sound  [P, 2]"""
    pairs = pairs[are_similar(prints, pairs)]
    distance = level_distance(prints.levels, pairs)
    order = np.lexsort((distance, pairs[:, 0]))
    pairs = pairs[order]
    rank = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
    nearest = np.lexsort((distance[order], rank))[: max(MAX_PAIRS, len(prints.levels))]
    chosen = np.sort(nearest[rank[nearest] < MAX_COMPARED])
    return pairs[chosen]


def are_similar(prints: Prints, pairs: np.ndarray) -> np.ndarray:
    """Whether pairs of sounds have nearly the same length, with or without silence around them, and levels  [P]"""
    similar = np.zeros(len(pairs), bool)
    for lengths in (prints.seconds, prints.sounding_seconds):
        first, second = lengths[pairs].T
        tolerance = MAX_LENGTH_DIFFERENCE[0] + MAX_LENGTH_DIFFERENCE[1] * np.maximum(first, second)
        similar |= np.abs(first - second) <= tolerance
    left = np.flatnonzero(similar)
    distance = np.concatenate([level_distance(prints.levels, part) for part in chunks(pairs[left])])
    similar[left] = distance < MAX_LEVEL_DIFFERENCE
    return similar


def pairs_with_common_peaks(peaks: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Pairs of rows that have most of their peaks in common  [P, 2]"""
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
    """Rows, each below the cells of two of its strongest peaks, or below the cell of its only one."""
    # peaks within the tolerance share a cell twice as wide, if not with one offset of the cells then with the other
    rows = np.arange(len(peaks))
    single = peaks[:, 1] == NO_PEAK  # a pure tone
    for first, second in itertools.combinations(range(JOINED_PEAKS), 2):
        low, high = np.sort(peaks[:, [first, second]], axis=1).T
        found = (low != NO_PEAK) | ((high != NO_PEAK) & single)
        for offset, other in itertools.product((0, 1), repeat=2):
            cells = cell_of(low, offset) << CELL_BITS | cell_of(high, other)
            yield (cells << ROW_BITS | rows)[found]


def cell_of(peaks: np.ndarray, offset: int) -> np.ndarray:
    """Number of the cell that each peak is in; the cells of the two offsets, 0 and 1, have different numbers."""
    return np.floor(peaks / PEAK_TOLERANCE + offset).astype(np.int64) // 2 * 2 + offset


def have_common_peaks(peaks: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Whether pairs of rows have most of their peaks in common  [P]"""
    first, second = peaks[pairs[:, 0]], peaks[pairs[:, 1]]
    common = (np.abs(first[:, :, None] - second[:, None, :]) <= PEAK_TOLERANCE) & (first != NO_PEAK)[:, :, None]
    fewer = np.minimum((first != NO_PEAK).sum(axis=1), (second != NO_PEAK).sum(axis=1))
    return common.any(axis=2).sum(axis=1) >= np.minimum(MIN_COMMON_PEAKS, fewer)


def chunks(pairs: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of a list of pairs, at least one."""
    for start in range(0, max(1, len(pairs)), CHUNK):
        yield pairs[start : start + CHUNK]


def level_distance(levels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Root mean square difference of the levels of pairs of rows, in dB  [P]"""
    return np.sqrt(((levels[pairs[:, 0]] - levels[pairs[:, 1]]) ** 2).mean(axis=1))
