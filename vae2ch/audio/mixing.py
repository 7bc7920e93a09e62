"""Statistics of decoded channels, from which the mix to mono and its offset follow."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

FRAME_SAMPLES = 256  # whose mean is taken for the estimate of a constant offset
MIN_FRAMES = 16  # fewer say nothing of an offset
MIN_OFFSET = 1e-3  # relative to the peak; a smaller offset changes nothing
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

    def add(self, block: np.ndarray, mono: np.ndarray) -> None:
        """Add samples [S, C] and their mean [S]."""
        self.samples += mono.size
        self.low, self.high = min(self.low, float(mono.min())), max(self.high, float(mono.max()))
        self.total += float(mono.sum(dtype=np.float64))
        frames = mono.size // FRAME_SAMPLES
        self.means.append(mono[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES).mean(axis=1))
        if block.shape[1] > 1:
            energy = sum_of_squares(block)
            self.energy = energy + (0 if self.energy is None else self.energy)
            self.blocks.append((mono.size, float(energy.mean()), float(sum_of_squares(mono[:, None])[0])))

    def offset(self, smallest: float = 0.0) -> float:
        """Constant offset of the mean: 0 unless the frames agree on it, and with the mean of all samples.

        An offset up to ``smallest`` is none, as a format may have no sample of 0.
        """
        means = np.concatenate(self.means)
        if means.size < MIN_FRAMES or self.high == self.low:
            return 0.0
        median = float(np.median(means))
        deviation = 1.5 * float(np.median(np.abs(means - median))) / means.size**0.5  # standard error
        # a pulse wave or a drum has frames of one sign too, but not on the average
        agrees = abs(self.total / self.samples - median) < 0.25 * abs(median)
        large = abs(median) > max(smallest, MIN_OFFSET * (self.high - self.low) / 2)
        return median if agrees and large and abs(median) > 5 * deviation else 0.0

    def may_have_holes(self) -> bool:
        """Whether a frame within the sound has a mean of 0, as zeros have."""
        silent = np.concatenate(self.means) == 0
        return bool(silent.any() and silent[silent.argmin() :].any())

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


def is_constant(blocks: Iterable[np.ndarray], offset: float) -> bool:
    """Whether the quietest frames of mono samples [S] have an offset too: where they have none, it was faded out."""
    ranges, means = [], []
    for block in blocks:
        frames = block[: block.size // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
        ranges.append(frames.max(axis=1) - frames.min(axis=1))
        means.append(frames.mean(axis=1))
    quietest = np.argsort(np.concatenate(ranges))[: MIN_FRAMES // 4]
    return bool(abs(np.median(np.concatenate(means)[quietest]) - offset) < 0.25 * abs(offset))


def sum_of_squares(block: np.ndarray) -> np.ndarray:
    """Energy of each channel about its mean: [S, C] -> [C]"""
    return block.var(axis=0, dtype=np.float64) * len(block)


def mix(block: np.ndarray, channel: int | None) -> np.ndarray:
    """Mean of the channels, or one of them: [S, C] -> [S]"""
    return block.mean(axis=1) if channel is None else np.ascontiguousarray(block[:, channel])


def measure(blocks: Iterable[np.ndarray], channel: int | None = None) -> Statistics:
    """Statistics of samples [S, C], of their mean or of one channel."""
    found = Statistics()
    for block in blocks:
        found.add(block if channel is None else block[:, channel : channel + 1], mix(block, channel))
    return found
