"""Segments of sounds, and the counted randomness that orders and varies them.

All randomness is a function of counters, never of what ran before: the epoch's order of (seed,
epoch), an item's variation of (seed, epoch, position). A run is reproducible, whatever the
number of workers.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from vae2ch import audio
from vae2ch.audio import Sound

SILENCE = 1e-3  # -60 dB below the file's peak
FRAME = 256  # samples over which loudness is looked at
LEAST = 0.1  # of a segment: a shorter rest at a sound's end is left out


class Excerpt(NamedTuple):
    """Where a segment begins, in samples."""

    sound: Sound
    start: int


class Item(NamedTuple):
    """One segment, or a batch of them.

    Attributes:
        wave: samples, zeros after the sound's end  [S] or [B, S]
        samples: how many of them are the sound  [] or [B]
        index: position in the dataset  [] or [B]
        gain: how much louder than at its usual level the model shall see it  [] or [B]
    """

    wave: Tensor
    samples: Tensor
    index: Tensor
    gain: Tensor


class Draw(NamedTuple):
    """The position-th item of an epoch shall be the segment ``index``."""

    epoch: int
    position: int
    index: int


def cut(wave: np.ndarray, length: int) -> list[int]:
    """Starts of the segments of ``wave`` [S]: back to back, silence skipped, the last one flush with the end."""
    frames = np.abs(np.pad(wave, (0, -wave.size % FRAME)).reshape(-1, FRAME)).max(axis=1)
    loud = np.flatnonzero(frames > SILENCE * frames.max())
    end = min(wave.size, (int(loud[-1]) + 1) * FRAME)
    starts, position = [], 0
    while (ahead := loud[loud >= position // FRAME]).size:
        start = max(position, int(ahead[0]) * FRAME)
        if starts and end - start < LEAST * length:
            break
        if start + length > wave.size:
            start = max(0, wave.size - length)
        starts.append(start)
        position = start + length
    return starts


def spread(count: int, total: int) -> list[int]:
    """``count`` indices evenly over ``total`` items; all of them where there are no more."""
    count = min(count, total)
    return [round(step * (total - 1) / max(1, count - 1)) for step in range(count)]


class SoundDataset(Dataset[Item]):
    """Segments of ``length`` samples of the given sounds, as they are."""

    def __init__(self, sounds: list[Sound], length: int) -> None:
        self.length = length
        self.excerpts = [Excerpt(sound, start) for sound in sounds for start in cut(sound.wave, length)]

    def __len__(self) -> int:
        return len(self.excerpts)

    def __getitem__(self, index: int) -> Item:
        return self.excerpt(index)

    def label(self, index: int, sample_rate: int) -> str:
        """File name, and for a later part of a file its time."""
        sound, start = self.excerpts[index]
        return f"{sound.name} @ {start / sample_rate:.2f} s" if start else sound.name

    def excerpt(self, index: int, shift: int = 0, speed: float = 1.0) -> Item:
        """Segment ``index`` from ``shift`` samples earlier, ``speed`` times as fast (and as high).

        Before a sound's beginning there is silence.
        """
        sound, start = self.excerpts[index]
        first = max(0, start - shift)
        before = min(self.length, max(0, shift - start))
        part = sound.wave[first : first + round((self.length - before) * speed)]
        if speed != 1.0:
            part = audio.resample(part, speed, 1.0)
        part = part[: self.length - before]
        wave = torch.zeros(self.length)
        wave[before : before + part.size] = torch.from_numpy(np.asarray(part))
        return Item(wave, torch.tensor(before + part.size), torch.tensor(index), torch.tensor(1.0))


class Variations(Dataset[Item]):
    """A dataset's segments, each time a little different: speed, time shift, gain, polarity.

    Args:
        speed: up to so much faster or slower, as a share; 0.06 is a semitone in pitch
        shift: up to so many seconds later (into silence, or the sound before the segment)
        gain_db: up to so many dB softer or louder than at its usual level
        polarity: flip the sign of half of them
        seed, sample_rate: of the run
    """

    def __init__(
        self,
        dataset: SoundDataset,
        *,
        speed: float,
        shift: float,
        gain_db: float,
        polarity: bool,
        seed: int,
        sample_rate: int,
    ) -> None:
        self.dataset, self.speed, self.shift, self.gain_db = dataset, speed, shift, gain_db
        self.polarity, self.seed, self.sample_rate = polarity, seed, sample_rate

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Item:
        random = np.random.default_rng([self.seed, draw.epoch, draw.position])
        shift = int(random.uniform(0, self.shift) * self.sample_rate)
        gain = 10 ** (random.uniform(-self.gain_db, self.gain_db) / 20)
        sign = -1.0 if self.polarity and random.random() < 0.5 else 1.0
        speed = (1 + self.speed) ** random.uniform(-1, 1)
        item = self.dataset.excerpt(draw.index, shift, speed)
        return item._replace(wave=sign * item.wave, gain=torch.tensor(gain, dtype=torch.float32))


class EpochSampler(Sampler[Draw]):
    """Shuffled passes over ``size`` segments until an epoch has at least ``least`` of them.

    A small collection is passed over several times an epoch, so that an epoch is always worth
    a validation and a checkpoint. Every rank of a distributed run draws its own share.
    """

    def __init__(self, size: int, *, least: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.size, self.passes, self.seed, self.rank, self.ranks = size, -(-least // size), seed, rank, ranks
        self.epoch = 0

    def __len__(self) -> int:
        return self.size * self.passes // self.ranks

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Draw]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = np.concatenate([random.permutation(self.size) for _ in range(self.passes)])
        for position in range(self.rank, len(self) * self.ranks, self.ranks):
            yield Draw(self.epoch, position, int(order[position]))
