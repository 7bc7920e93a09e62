"""Statistics of decoded channels, from which the mix to mono and its offset follow."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from vae2ch.audio.holes import may_have_hole

FRAME_SAMPLES = 256  # whose mean is taken for the estimate of a DC offset
MIN_FRAMES = 16  # fewer say nothing of an offset
MIN_OFFSET = 1e-3  # relative to the peak; a smaller offset changes nothing
AGREEMENT = 0.25  # relative difference of two estimates of an offset that agree
CANCELLED_RATIO = 0.1  # of the energy that a mix of unrelated channels would have
# of the sounding parts, from which one channel is taken instead of the mix; tones of any phases cancel in 14 %
CANCELLED_SHARE = 0.16
CANCELLATION_SAMPLES = 2048  # of a part whose channels are compared with their mean
SOUNDING_RATIO = 1e-6  # of the energy of the loudest part


@dataclass
class Statistics:
    """Sums over the blocks of a sound, of the channels and of their mean."""

    samples: int = 0
    low: float = np.inf  # smallest and largest sample of the mean
    high: float = -np.inf
    total: float = 0.0  # sum of the mean's samples
    energy: np.ndarray | None = None  # of each channel, without its offset  [C]
    parts: list[np.ndarray] = field(default_factory=list)  # [P, 2]: mean square of a channel, and of the mean
    means: list[np.ndarray] = field(default_factory=list)  # of frames
    may_have_hole: bool = False

    def add(self, block: np.ndarray, mono: np.ndarray) -> None:
        """Add samples [S, C] and their mean [S]."""
        whole = mono.size // FRAME_SAMPLES * FRAME_SAMPLES
        sums = np.add.reduce(mono[:whole].reshape(-1, FRAME_SAMPLES), axis=1)
        self.means.append(sums / FRAME_SAMPLES)
        self.may_have_hole = self.may_have_hole or may_have_hole(block)
        self.total += float(np.add.reduce(sums)) + float(np.add.reduce(mono[whole:]))
        self.samples += mono.size
        self.low = min(self.low, float(np.minimum.reduce(mono)))
        self.high = max(self.high, float(np.maximum.reduce(mono)))
        if block.shape[1] > 1:
            powers = power(np.ascontiguousarray(block.T))
            self.energy = powers.sum(axis=1) + (0 if self.energy is None else self.energy)
            self.parts.append(np.stack([powers.mean(axis=0), power(mono)], axis=1))

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
        channels, mean = np.concatenate(self.parts).T
        sounding = channels > SOUNDING_RATIO * channels.max()
        unrelated = 1 / self.energy.size  # energy of their mean, relative to one of them
        cancelled = sounding & (mean < CANCELLED_RATIO * unrelated * channels)
        if cancelled.sum() <= CANCELLED_SHARE * sounding.sum():
            return None
        return int((self.energy > 0.99 * self.energy.max()).argmax())  # the first of those that are equal


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
    order = np.argsort(np.concatenate(ranges))
    quietest = np.concatenate(means)[order[: order.size // 4]]
    return bool(abs(np.mean(quietest) - offset) < AGREEMENT * abs(offset))


def power(waves: np.ndarray) -> np.ndarray:
    """Mean square about the mean of parts of equal length: [..., S] -> [..., P]"""
    count = max(1, waves.shape[-1] // CANCELLATION_SAMPLES)
    size = waves.shape[-1] // count
    parts = waves[..., : count * size].reshape(*waves.shape[:-1], count, 1, size)
    squares = (parts @ np.swapaxes(parts, -1, -2))[..., 0, 0]
    return squares / size - (np.add.reduce(parts[..., 0, :], axis=-1) / size) ** 2


def mix(block: np.ndarray, channel: int | None) -> np.ndarray:
    """Mean of the channels, or one of them: [S, C] -> [S]"""
    mono = block[:, channel or 0] + np.float32(0)  # no negative zeros: equal sounds have equal bytes
    if channel is None and block.shape[1] > 1:
        for other in block.T[1:]:  # faster than the mean of rows
            mono += other
        mono /= np.float32(block.shape[1])
    return mono


def measure(blocks: Iterable[np.ndarray]) -> Statistics:
    """Statistics of mono samples, blocks [S]."""
    found = Statistics()
    for block in blocks:
        found.add(block[:, None], block)
    return found
