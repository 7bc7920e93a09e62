"""The held-out sounds that a run makes audible, the versions of each, and TensorBoard's writer."""

from collections.abc import Iterator
from contextlib import contextmanager

import lightning
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from vae2ch.callbacks.logs import EventLog
from vae2ch.codec import SoundCodec
from vae2ch.data.dataset import Item, evenly_spaced
from vae2ch.representation import Representation


@contextmanager
def tensorboard_writer(trainer: lightning.Trainer) -> Iterator[SummaryWriter | None]:
    """The writer of the run's TensorBoard logger, if it has one that works; errors in writing are reported."""
    for logger in trainer.loggers:
        if isinstance(logger, EventLog):
            with logger.writer() as writer:
                yield writer
            return
    yield None


def followed_sounds(trainer: lightning.Trainer, split: str, count: int) -> dict[str, Item]:
    """At most ``count`` segments of a split by label, evenly spaced, the same at every call."""
    dataset = trainer.datamodule.datasets[split]
    return {trainer.datamodule.label(split, n): dataset[n] for n in evenly_spaced(count, len(dataset))}


def versions(codec: SoundCodec, item: Item, seed: int) -> dict[str, Tensor]:
    """Original, ceiling, reconstruction and a variation of one segment, without padding  [S] each"""
    wave = item.wave[: int(item.samples)].to(codec.device)
    made = {"original": wave, "ceiling": codec.ceiling(wave), "reconstruction": codec.reconstruct(wave)}
    made["variation"] = codec.perturb(wave, seed=seed)
    return {name: version.cpu() for name, version in made.items()}


def spectrogram_of(representation: Representation, wave: Tensor) -> tuple[Tensor, Tensor]:
    """Spectrogram and level of a sound, padded to a segment: [S] -> [2, F, T], []"""
    padded = functional.pad(wave, (0, representation.segment - wave.shape[-1]))
    spectrogram, level = representation(padded[None].to(representation.window.device))
    return spectrogram[0], level[0]
