"""Augmentation and order of training segments; both depend on seed and position only, so a run can be resumed."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from vae2ch.config import AugmentConfig, given
from vae2ch.data.dataset import Item, SoundDataset

ORDER, AUGMENTATION = 0, 1  # give both random numbers of their own


class Draw(NamedTuple):
    """Request for segment ``index``, the item at ``position`` of the training."""

    position: int
    index: int  # type: ignore[assignment]  # hides tuple.index


class AugmentedDataset(Dataset[Item]):
    """Segments with random speed, delay and polarity, and a random amplitude of the loudest bin."""

    def __init__(self, dataset: SoundDataset, config: AugmentConfig, *, seed: int, sample_rate: int) -> None:
        self.dataset, self.seed, self.sample_rate = dataset, seed, sample_rate
        self.speed, self.shift, self.gain_db = map(given, (config.speed, config.shift, config.gain_db))
        self.polarity = config.polarity

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Item:
        random = np.random.default_rng([self.seed, AUGMENTATION, draw.position])
        shift = int(random.uniform(0, self.shift) * self.sample_rate)
        gain = 10 ** (random.uniform(-self.gain_db, self.gain_db) / 20)
        sign = -1.0 if self.polarity and random.random() < 0.5 else 1.0
        speed = (1 + self.speed) ** random.uniform(-1, 1)
        item = self.dataset.excerpt(draw.index, shift, speed)
        return item._replace(wave=sign * item.wave, gain=torch.tensor(gain, dtype=torch.float32))


class EpochSampler(Sampler[Draw]):
    """An endless sequence of shuffled passes over ``size`` segments, cut into epochs of whole batches.

    Every pass holds each segment once, also where it extends over two batches or epochs. An epoch has the segments of
    a pass, or ``minimum`` if that is more, rounded up to whole batches: so that a validation takes little of the time.
    Processes take turns, so that together they train on the batches that one process would have.
    """

    def __init__(self, size: int, *, batch_size: int, minimum: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.size, self.seed, self.rank, self.ranks = size, seed, rank, ranks
        self.batch_segments = batch_size * ranks  # in all processes
        self.batches = -(-max(size, minimum) // self.batch_segments)  # in an epoch
        self.epoch = 0
        self.first_batch = 0  # of the epoch; after that all epochs begin at 0

    def __len__(self) -> int:
        """Segments of this process in an epoch."""
        return self.batches * self.batch_segments // self.ranks

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Set the epoch, and the batch at which it begins; Lightning sets the epoch before each one."""
        if epoch != self.epoch or first_batch:
            self.epoch, self.first_batch = epoch, first_batch

    def __iter__(self) -> Iterator[Draw]:
        first = (self.epoch * self.batches + self.first_batch) * self.batch_segments
        last = (self.epoch + 1) * self.batches * self.batch_segments
        for position in range(first + self.rank, last, self.ranks):
            yield Draw(position, self.segment_at(position))

    def segment_at(self, position: int) -> int:
        """Index of the segment at a position of the sequence."""
        turn, place = divmod(position, self.size)
        return int(shuffled(self.seed, turn, self.size)[place])


@lru_cache(maxsize=4)
def shuffled(seed: int, turn: int, size: int) -> np.ndarray:
    """Order of the segments in a pass  [size]"""
    return np.random.default_rng([seed, ORDER, turn]).permutation(size)


class ResumableLoader(DataLoader):
    """DataLoader of an ``EpochSampler`` that can begin within an epoch; Lightning saves and restores its state."""

    sampler: EpochSampler

    def __iter__(self) -> Iterator[Any]:
        # begins when the first batch is asked for, as Lightning sets the epoch after it calls this, and workers begin
        # to read at once
        yield from super().__iter__()

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.sampler.epoch, "first_batch": self.sampler.first_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.sampler.set_epoch(state["epoch"], state["first_batch"])
