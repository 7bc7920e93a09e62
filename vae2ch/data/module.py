"""The LightningDataModule: batches of padded two-channel spectrograms."""

import itertools
import math
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from vae2ch import hardware
from vae2ch.data import collection
from vae2ch.data.collection import Collection
from vae2ch.data.dataset import EpochSampler, Item, SoundDataset, Variations, spread
from vae2ch.model import pad_to_stride
from vae2ch.refusal import Refusal
from vae2ch.representation import Representation


class Batch(NamedTuple):
    """What the model trains on.

    Attributes:
        spectrogram: both channels, the loudest bin at full scale, both axes padded to multiples of 32  [B, 2, F, T]
        wave: the sound they were made from  [B, S]
        samples: how many of the samples are the sound's own  [B]
        index: position in the dataset  [B]
        gain: how far the loudest bin is from full scale  [B]
        peak: largest sample of the sound, either way  [B]
    """

    spectrogram: Tensor
    wave: Tensor
    samples: Tensor
    index: Tensor
    gain: Tensor
    peak: Tensor


def home(path: str) -> Path:
    """A path with its ``~`` expanded.

    Raises:
        Refusal: it names a user that is not there
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise Refusal(f"{path}: there is no such user; give a path without ~") from None


def leave_interrupts(worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that saves the checkpoint; don't mind its end.

    That may come while a batch is handed over. What goes wrong in reading goes there too, and is raised there.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = lambda *error: None


class SoundDataModule(lightning.LightningDataModule):
    """Reads a collection once, splits it by source, and serves spectrograms made on the device.

    Args:
        data: the ``data`` group of the configuration (source, root, validation, test, ...)
        augment: the ``augment`` group (speed, shift, gain_db, polarity)
        representation: the ``representation`` group
        seed: of the split, of the order and of the augmentation
    """

    def __init__(self, *, data: dict, augment: dict, representation: dict, seed: int) -> None:
        super().__init__()
        self.data, self.augment, self.seed = data, augment, seed
        self.representation = Representation(**representation)
        self.collection: Collection | None = None
        self.datasets: dict[str, SoundDataset] = {}

    def read(self) -> Collection:
        """Find and decode the sounds of the configured source."""
        rate, root = self.representation.sample_rate, home(self.data["root"])
        cache = home(self.data["cache"]) if self.data["cache"] else None
        if self.data["source"] == "nsynth":
            return collection.read_nsynth(root, rate, cache=cache, limit=self.data["limit"])
        reader = {"folder": collection.read_folder, "notes": collection.read_notes}[self.data["source"]]
        shares = {name: self.data[name] for name in ("validation", "test")}
        return reader(root, rate, cache=cache, seed=self.seed, **shares)

    def setup(self, stage: str | None = None) -> None:
        """Read the collection, the first time that it is asked for."""
        if self.collection is None:
            self.collection = self.read()
            length = self.representation.segment
            self.datasets = {name: SoundDataset(sounds, length) for name, sounds in self.collection.splits.items()}
            train = self.datasets["train"]
            train.excerpts = train.excerpts[: self.data["train_segments"]]

    def table(self) -> str:
        """What was read, for people."""
        segments = {name: len(dataset) for name, dataset in self.datasets.items()}
        return collection.table(self.collection, self.representation.sample_rate, self.representation.segment, segments)

    def label(self, split: str, index: int) -> str:
        """File name, and time where the file is long, of an item."""
        return self.datasets[split].label(index, self.representation.sample_rate)

    def train_dataloader(self) -> DataLoader:
        """Varied segments in a counted order."""
        dataset = self.datasets["train"]
        varied = Variations(dataset, **self.augment, seed=self.seed, sample_rate=self.representation.sample_rate)
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = EpochSampler(len(dataset), least=self.data["epoch_segments"], seed=self.seed, rank=rank, ranks=ranks)
        device = self.trainer.strategy.root_device.type if self.trainer else "cpu"
        # a part of a batch is left out, unless it is all that there is
        drop_last = len(sampler) > self.data["batch_size"]
        return self.loader(varied, hardware.workers(device, ranks), sampler=sampler, drop_last=drop_last)

    def val_dataloader(self) -> DataLoader:
        """The validation split as it is."""
        return self.loader(self.datasets["validation"])

    def test_dataloader(self) -> DataLoader:
        """The test split as it is."""
        return self.loader(self.datasets["test"])

    def glimpse(self, count: int) -> Tensor:
        """Magnitudes of training segments, padded, half as they are and half varied  [N, F, T]

        N is ``count`` (to a batch), or less where so many would take more than half a gigabyte. Where there are
        fewer segments than half of it, all of them, and more variations.
        """
        count = max(2, min(count, 2**27 // math.prod(self.representation.size)))
        dataset = self.datasets["train"]
        plain = self.loader(Subset(dataset, spread(count // 2, len(dataset))))
        found: list[Tensor] = []
        for item in itertools.chain(plain, self.train_dataloader()):
            found.append(self.on_after_batch_transfer(item, 0).spectrogram[:, 0].clone())  # not a view of both
            if sum(map(len, found)) >= count:
                break
        return torch.cat(found)

    def loader(self, dataset: Dataset[Item], workers: int = 0, **options: object) -> DataLoader:
        """A DataLoader with the configured batch size and workers, or so many where none are configured."""
        workers = workers if self.data["workers"] is None else self.data["workers"]
        more = {"num_workers": workers, "persistent_workers": workers > 0, "worker_init_fn": leave_interrupts}
        return DataLoader(dataset, self.data["batch_size"], **more, **options)

    def on_after_batch_transfer(self, batch: Item, dataloader_idx: int) -> Batch:
        """Analyse on whatever device the batch is on, divide the level out, pad both axes to multiples of 32."""
        representation = self.representation.to(batch.wave.device)
        spectrogram = representation(batch.wave)
        levelled = representation.scaled(spectrogram, batch.gain / representation.level(spectrogram))
        return Batch(pad_to_stride(levelled), *batch, batch.wave.abs().amax(dim=1))
