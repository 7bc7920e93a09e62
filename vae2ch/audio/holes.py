"""Holes in a sound: stretches of one value that begin and end abruptly, as an interrupted copy leaves them.

The bytes of a hole are all 0 or all 255. In most formats the samples stay at one value then, whatever it is; in others
only the bytes tell.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MIN_SAMPLES = 2048  # a page of 4096 bytes holds as many samples of 16 bits
MAX_HOLES = 3
ABRUPT = 0.02  # relative to the peak: samples on both sides differ more from the value of a hole
NEIGHBOURS = 4  # different values on each side; the first one may be cut in two
STRIDE = MIN_SAMPLES // 8  # half of a hole lies in one block, and has four samples that are so far apart
SECTOR = 512  # bytes; a hole consists of whole sectors
MIN_SECTORS = 4
CHUNK = 1 << 20  # bytes read at once
FILLED = np.array([0, 2**32 - 1], np.uint32)  # words of bytes that are all 0 or all 255
OTHER = np.uint32(1)


def may_have_hole(block: np.ndarray) -> bool:
    """Whether samples [S, C] may stay at one value, judged by a few of them."""
    few = block[::STRIDE]
    same = few[1:] == few[:-1]
    return bool((same[2:] & same[1:-1] & same[:-2]).any())


def hole_samples(blocks: Iterable[np.ndarray], peak: float) -> int:
    """Number of samples in holes of any channel; ``blocks`` are [S, C], and the mix of them has this ``peak``.

    A channel with many has none: a sound that is gated, as Morse code, has such stretches too.
    """
    channels: list[Channel] = []
    for block in blocks:
        channels = channels or [Channel(ABRUPT * peak) for _ in block.T]
        for channel, samples in zip(channels, block.T, strict=True):
            channel.add(samples)
    total, end = 0, 0
    for start, stop in sorted(hole for each in channels if len(each.holes) <= MAX_HOLES for hole in each.holes):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total


@dataclass
class Channel:
    """The holes in one channel, found in a stream."""

    smallest_step: float
    samples: int = 0
    last: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))  # sample of the block before
    places: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # of the latest changes of the value
    values: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))  # after these changes
    holes: list[tuple[int, int]] = field(default_factory=list)  # first sample, and the first one behind

    def add(self, samples: np.ndarray) -> None:
        """Add samples [S] of a block."""
        joined = np.concatenate([self.last, samples])
        changes = np.flatnonzero(joined[1:] != joined[:-1]) + 1
        self.places = np.concatenate([self.places[-2 * NEIGHBOURS :], changes + self.samples - self.last.size])
        self.values = np.concatenate([self.values[-2 * NEIGHBOURS :], joined[changes]])
        self.samples, self.last = self.samples + samples.size, joined[-1:]
        self.holes += self.complete_holes()

    def complete_holes(self) -> Iterator[tuple[int, int]]:
        """Holes among the latest changes, without those whose neighbours on a side are not known yet."""
        first, end = NEIGHBOURS, self.places.size - NEIGHBOURS
        for place in first + np.flatnonzero(np.diff(self.places)[first : max(first, end)] >= MIN_SAMPLES):
            steps = np.abs(self.values[place - NEIGHBOURS : place + NEIGHBOURS + 1] - self.values[place])
            if min(steps[:NEIGHBOURS].max(), steps[NEIGHBOURS + 1 :].max()) > self.smallest_step:
                yield int(self.places[place]), int(self.places[place + 1])


def hole_bytes(path: Path) -> int:
    """Number of bytes in whole sectors of 0 or of 255 in the middle of an encoded file.

    A codec has such bytes for silence too, which begins and ends within a sector.
    """
    found = [np.zeros((3, 0), np.uint32)]
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            words = np.frombuffer(data, np.uint32, len(data) // SECTOR * (SECTOR // 4)).reshape(-1, SECTOR // 4)
            found.append(np.stack([words[:, 0], contents(words), words[:, -1]]))
    heads, kinds, tails = np.concatenate(found, axis=1)
    edges = np.flatnonzero(kinds[1:] != kinds[:-1]) + 1
    starts, ends = edges[:-1], edges[1:]
    kind = kinds[starts]
    sharp = (kind != tails[starts - 1]) & (kind != heads[ends])
    return SECTOR * int((ends - starts)[sharp & (kind != OTHER) & (ends - starts >= MIN_SECTORS)].sum())


def contents(words: np.ndarray) -> np.ndarray:
    """The word that fills a sector of words [N, W], if its bytes are all 0 or all 255, else ``OTHER``  [N]"""
    first = words[:, 0]
    filled = np.isin(first, FILLED) & (first == words[:, -1])
    likely = np.flatnonzero(filled)  # few, so that not all words are compared
    filled[likely] = (words[likely] == words[likely, :1]).all(axis=1)
    return np.where(filled, first, OTHER)
