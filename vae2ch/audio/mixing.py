"""Statistics of decoded channels, from which the mix to mono and its offset follow."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

FRAME_SAMPLES = 256  # whose mean is taken for the estimate of a constant offset
MIN_FRAMES = 16  # fewer say nothing of an offset
MIN_OFFSET = 1e-3  # relative to the peak; a smaller offset changes nothing
AGREEMENT = 0.25  # relative difference of two estimates of an offset that agree
CANCELLED_RATIO = 0.15  # of the energy that a mix of unrelated channels would have
CANCELLED_SHARE = 0.1  # of the sounding blocks, from which one channel is taken instead of the mix
SOUNDING_RATIO = 1e-6  # of the energy of the loudest block


@dataclass
class Statistics:
    """Sums over the blocks of a sound, of the channels and of their mean."""

    samples: int = 0
    low: float = np.inf  # smallest and largest sample of the mean
    high: float = -np.inf
    total: float = 0.0  # sum of the mean's samples
    energy: np.ndarray | None = None  # of each channel, without its offset  [C]
    blocks: list[tuple[int, float, float]] = field(default_factory=list)  # samples, energy of a channel and of the mean
    means: list[np.ndarray] = field(default_factory=list)  # of frames
    has_zeros: bool = False  # whether a frame has a mean of 0, as zeros have

    def add(self, block: np.ndarray, mono: np.ndarray) -> None:
        """Add samples [S, C] and their mean [S]."""
        whole = mono.size // FRAME_SAMPLES * FRAME_SAMPLES
        sums = np.add.reduce(mono[:whole].reshape(-1, FRAME_SAMPLES), axis=1)
        self.means.append(sums / FRAME_SAMPLES)
        self.has_zeros = self.has_zeros or not sums.all()
        self.total += float(np.add.reduce(sums)) + float(np.add.reduce(mono[whole:]))
        self.samples += mono.size
        self.low = min(self.low, float(np.minimum.reduce(mono)))
        self.high = max(self.high, float(np.maximum.reduce(mono)))
        if block.shape[1] > 1:
            energy = [energy_of(channel) for channel in np.ascontiguousarray(block.T)]
            self.energy = np.array(energy) + (0 if self.energy is None else self.energy)
            self.blocks.append((mono.size, sum(energy) / len(energy), energy_of(mono)))

    def offset(self, smallest: float = 0.0) -> float:
        """Constant offset of the mean: 0 unless the frames agree on it, and with the mean of all samples.

        An offset up to ``smallest`` is none, as a format may have no sample of 0.
        """
        smallest = max(smallest, MIN_OFFSET * (self.high - self.low) / 2)
        mean = self.total / self.samples
        if self.high == self.low or abs(mean) < (1 - AGREEMENT) * smallest:
            return 0.0
        means = np.concatenate(self.means)
        if means.size < MIN_FRAMES:
            return 0.0
        median = middle(means)
        deviation = 1.5 * middle(np.abs(means - median)) / means.size**0.5  # standard error
        # a pulse wave or a drum has frames of one sign too, but not on the average
        agrees = abs(mean - median) < AGREEMENT * abs(median)
        return median if agrees and abs(median) > max(smallest, 5 * deviation) else 0.0

    def loudest_channel(self) -> int | None:
        """Channel to take instead of the mean, where the channels cancel in it; else None."""
        if self.energy is None:
            return None
        loudest = max(energy / samples for samples, energy, _ in self.blocks)
        sounding = [(n, e, mean) for n, e, mean in self.blocks if e / n > SOUNDING_RATIO * loudest]
        unrelated = 1 / self.energy.size  # energy of their mean, relative to one of them
        cancelled = sum(n for n, e, mean in sounding if mean < CANCELLED_RATIO * unrelated * e)
        if cancelled <= CANCELLED_SHARE * sum(n for n, _, _ in sounding):
            return None
        return int(self.energy.argmax())


def middle(values: np.ndarray) -> float:
    """The upper median, faster than numpy's."""
    return float(np.partition(values, values.size // 2)[values.size // 2])


def is_constant(blocks: Iterable[np.ndarray], offset: float) -> bool:
    """Whether the quietest frames of mono samples [S] have an offset too: where they have none, it was faded out."""
    ranges, means = [], []
    for block in blocks:
        frames = block[: block.size // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
        ranges.append(frames.max(axis=1) - frames.min(axis=1))
        means.append(frames.mean(axis=1))
    quietest = np.argsort(np.concatenate(ranges))[: MIN_FRAMES // 4]
    return bool(abs(np.median(np.concatenate(means)[quietest]) - offset) < AGREEMENT * abs(offset))


def energy_of(wave: np.ndarray) -> float:
    """Sum of squares of ``wave`` [S] about its mean."""
    return float(wave @ wave) - float(np.add.reduce(wave)) ** 2 / wave.size


def mix(block: np.ndarray, channel: int | None) -> np.ndarray:
    """Mean of the channels, or one of them: [S, C] -> [S]"""
    if block.shape[1] == 1 or channel is not None:
        return block[:, channel or 0] + np.float32(0)  # no negative zeros, as in a mean: equal sounds have equal bytes
    return block.mean(axis=1)


def measure(blocks: Iterable[np.ndarray]) -> Statistics:
    """Statistics of mono samples, blocks [S]."""
    found = Statistics()
    for block in blocks:
        found.add(block[:, None], block)
    return found
