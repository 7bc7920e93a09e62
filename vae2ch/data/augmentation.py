"""Augmentation and order of training segments; both depend on seed, epoch and position only, so are reproducible."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from vae2ch.config import AugmentConfig
from vae2ch.data.dataset import Item, SoundDataset


class Draw(NamedTuple):
    """Request for the item at ``position`` of an epoch: segment ``index``."""

    epoch: int
    position: int
    index: int  # type: ignore[assignment]  # hides tuple.index


class AugmentedDataset(Dataset[Item]):
    """Segments with random speed, delay and polarity, and a random amplitude of the loudest bin."""

    def __init__(self, dataset: SoundDataset, config: AugmentConfig, *, seed: int, sample_rate: int) -> None:
        self.dataset, self.config, self.seed, self.sample_rate = dataset, config, seed, sample_rate

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Item:
        random = np.random.default_rng([self.seed, draw.epoch, draw.position])
        shift = int(random.uniform(0, self.config.shift) * self.sample_rate)
        gain = 10 ** (random.uniform(-self.config.gain_db, self.config.gain_db) / 20)
        sign = -1.0 if self.config.polarity and random.random() < 0.5 else 1.0
        speed = (1 + self.config.speed) ** random.uniform(-1, 1)
        item = self.dataset.excerpt(draw.index, shift, speed)
        return item._replace(wave=sign * item.wave, gain=torch.tensor(gain, dtype=torch.float32))


class EpochSampler(Sampler[Draw]):
    """Shuffled passes over ``size`` segments, until an epoch has at least ``minimum``; shared among ``ranks``.

    A small collection is passed over several times, so that a validation and a checkpoint take little of the time.
    """

    def __init__(self, size: int, *, minimum: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.size, self.passes, self.seed, self.rank, self.ranks = size, -(-minimum // size), seed, rank, ranks
        self.epoch = 0

    def __len__(self) -> int:
        return self.size * self.passes // self.ranks

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Draw]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = np.concatenate([random.permutation(self.size) for _ in range(self.passes)])
        for position in range(self.rank, len(self) * self.ranks, self.ranks):
            yield Draw(self.epoch, position, int(order[position]))
