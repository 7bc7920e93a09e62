"""The LightningDataModule: batches of padded two-channel spectrograms."""

import itertools
import math
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Subset

from vae2ch.config import AugmentConfig, DataConfig, RepresentationConfig
from vae2ch.data import summary
from vae2ch.data.augmentation import AugmentedDataset, EpochSampler, ResumableLoader
from vae2ch.data.collection import Collection, read_collection
from vae2ch.data.dataset import Item, SoundDataset, evenly_spaced
from vae2ch.data.split import SplitRow
from vae2ch.model import pad_to_stride
from vae2ch.representation import Representation
from vae2ch.terminal import one_line

MAX_VALIDATION_FRACTION = 0.25  # validation segments relative to those of an epoch; each takes a third of a step's time
MAX_SAMPLE_FLOATS = 2**27  # half a gigabyte of log magnitudes for the PCA initialisation


class Batch(NamedTuple):
    """A batch on the device."""

    spectrogram: Tensor  # both channels, the loudest bin at ``Item.gain``, padded to multiples of 32  [B, 2, F, T]
    wave: Tensor  # samples that it was made from  [B, S]
    samples: Tensor  # how many of them are not padding  [B]
    index: Tensor  # position in the dataset  [B]
    peak: Tensor  # largest absolute sample  [B]


def check(data: DataConfig) -> None:
    """Raise ``ValueError`` if settings of the data contradict each other."""
    if data.validation + data.test >= 1:
        raise ValueError(
            f"data.validation={data.validation:g} and data.test={data.test:g} leave nothing for training; "
            "together they must be below 1"
        )
    if data.limit is not None and data.source != "nsynth":
        raise ValueError(f"data.limit={data.limit} is for data=nsynth; others are limited by data.train_segments")


class SoundDataModule(lightning.LightningDataModule):
    """A collection, read and split once, served as spectrograms that are computed on the device.

    ``earlier`` is what a run that is resumed has noted of its sounds, by file name.
    """

    earlier: Mapping[str, SplitRow] = MappingProxyType({})

    def __init__(
        self, data: DataConfig, augment: AugmentConfig, representation: RepresentationConfig, seed: int
    ) -> None:
        super().__init__()
        check(data)
        self.data, self.augment, self.seed = data, augment, seed
        self.representation = Representation(representation)
        self.collection: Collection  # set by setup
        self.datasets: dict[str, SoundDataset] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read the collection, at the first call. Raises ``InputError`` if the sounds cannot be used."""
        if self.datasets:
            return
        length = self.representation.segment
        self.collection = read_collection(self.data, self.representation.sample_rate, length, self.seed, self.earlier)
        self.datasets = {name: SoundDataset(sounds, length) for name, sounds in self.collection.splits.items()}
        train = self.datasets["train"]
        train.excerpts = train.excerpts[: self.data.train_segments]

    def table(self) -> str:
        return summary.table(self.collection, self.representation.sample_rate, self.datasets)

    def suitable_preset(self) -> str:
        """Preset for a collection of this size."""
        return summary.suitable_preset(self.collection.recordings, sum(map(len, self.datasets.values())))

    def write_csv(self, path: Path) -> None:
        summary.write_csv(self.collection, self.representation.sample_rate, path, self.datasets, self.earlier)

    def label(self, split: str, index: int) -> str:
        """File name of a segment in one line, with its time where needed."""
        return one_line(self.datasets[split].label(index, self.representation.sample_rate))

    def train_dataloader(self) -> DataLoader:
        """Augmented segments in random order, this process's share."""
        return self.train_loader(*self.process())

    def train_loader(self, rank: int = 0, ranks: int = 1) -> ResumableLoader:
        """Augmented segments in random order, the share of one of several processes."""
        dataset = self.datasets["train"]
        augmented = AugmentedDataset(dataset, self.augment, seed=self.seed, sample_rate=self.representation.sample_rate)
        size, minimum = self.data.batch_size, self.data.epoch_segments
        sampler = EpochSampler(len(dataset), batch_size=size, minimum=minimum, seed=self.seed, rank=rank, ranks=ranks)
        return ResumableLoader(augmented, size, sampler=sampler, **worker_options(self.data.workers or 0))

    def val_dataloader(self) -> DataLoader:
        """Validation segments, evenly spaced if there are many, so that they take little of the time."""
        count = max(1, int(MAX_VALIDATION_FRACTION * len(self.train_loader().sampler)))
        dataset = self.datasets["validation"]
        return self.loader(Subset(dataset, evenly_spaced(count, len(dataset))), shared=True)

    def test_dataloader(self) -> DataLoader:
        return self.loader(self.datasets["test"], shared=True)

    def process(self) -> tuple[int, int]:
        """Number of this process, and of all."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def sample_log_magnitudes(self, count: int) -> Tensor:
        """Log magnitudes of training segments, padded  [N, F, T]; N as in ``sample``."""
        return self.sample(
            count, lambda batch: batch.spectrogram[:, 0].clone()
        )  # a view would keep channel 1 in memory

    def sample(self, count: int, of: Callable[[Batch], Tensor]) -> Tensor:
        """What ``of`` returns for training segments, joined: at most half of them plain, the others augmented.

        There are about ``count``, or fewer where that would take more than an epoch or half a gigabyte.
        """
        count = max(2, min(count, MAX_SAMPLE_FLOATS // math.prod(self.representation.size)))
        dataset = self.datasets["train"]
        plain = self.loader(Subset(dataset, evenly_spaced(count // 2, len(dataset))))
        found: list[Tensor] = []
        for item in itertools.chain(plain, self.train_loader()):
            found.append(of(self.analyse(item)))
            if sum(map(len, found)) >= count:
                break
        return torch.cat(found)

    def loader(self, dataset: Dataset[Item], shared: bool = False) -> DataLoader:
        """Items in order, in batches; if ``shared`` this process's share, the last items of which may be repeated."""
        rank, ranks = self.process()
        sampler = DistributedSampler(dataset, ranks, rank, shuffle=False) if shared and ranks > 1 else None
        return DataLoader(dataset, self.data.batch_size, sampler=sampler)

    def on_after_batch_transfer(self, batch: Item, dataloader_idx: int) -> Batch:
        return self.analyse(batch)

    def analyse(self, item: Item) -> Batch:
        """Spectrograms of a batch of segments, padded to multiples of 32."""
        representation = self.representation.to(item.wave.device)
        spectrogram, _ = representation(item.wave, item.gain)
        peak = item.wave.abs().amax(dim=1)
        return Batch(pad_to_stride(spectrogram), item.wave, item.samples, item.index, peak)


def worker_options(workers: int) -> dict:
    """Options of a DataLoader for a number of processes."""
    return {"num_workers": workers, "persistent_workers": workers > 0, "worker_init_fn": ignore_signals}


def ignore_signals(worker: int) -> None:
    """Ignore Ctrl-C and its like in a worker: all processes may get it, and the main process ends its workers."""
    # hides the error of a worker handing over a batch; errors in reading are raised in the main process
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):  # Windows has not all of them
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.excepthook = lambda *error: None
