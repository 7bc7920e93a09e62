"""The configuration's types and ranges; ``conf/`` holds the values.

Light on purpose: ``--help`` and refusals answer without importing torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from vae2ch.refusal import Refusal, nearest


def limited(default: Any = MISSING, *, low: float | None = None, high: float | None = None, choices: tuple = ()) -> Any:
    """A field whose value must lie in [low, high], or be one of ``choices``."""
    return field(default=default, metadata={"low": low, "high": high, "choices": choices})


@dataclass
class Data:
    """Where the sounds come from, and how they are dealt out."""

    source: str = limited(choices=("notes", "folder", "nsynth"))
    root: str = MISSING
    validation: float = limited(low=0.0, high=0.9)  # share of the recordings
    test: float = limited(low=0.0, high=0.9)
    cache: str | None = MISSING  # where decoded sounds are kept; null: nowhere
    limit: int | None = limited(low=1)  # files of each NSynth split
    train_segments: int | None = limited(low=1)  # train on the first so many alone; null: on all
    batch_size: int = limited(low=2)
    epoch_segments: int = limited(low=1)  # an epoch passes over a small set until it has so many
    workers: int | None = limited(low=0, high=64)  # processes that read ahead; null: as many as suit the device


@dataclass
class Augment:
    """How a segment is varied each time that it is seen."""

    speed: float = limited(low=0.0, high=1.0)  # share; 0.06 is a semitone
    shift: float = limited(low=0.0, high=1.0)  # seconds
    gain_db: float = limited(low=0.0, high=40.0)
    polarity: bool = MISSING


@dataclass
class Representation:
    """The transform between sound and spectrogram."""

    sample_rate: int = limited(low=8000, high=192000)  # Hz
    n_fft: int = limited(low=64, high=16384)
    hop: int = limited(low=16, high=8192)
    frames: int = limited(low=2, high=4096)  # of a segment
    gain: float = limited(low=1.0, high=1e8)


@dataclass
class Model:
    """The VAE."""

    latent_dim: int = limited(low=1, high=65536)
    dropout: float = limited(low=0.0, high=0.95)


@dataclass
class Training:
    """Loss weights, optimizer and schedule."""

    learning_rate: float = limited(low=0.0, high=1.0)
    weight_decay: float = limited(low=0.0, high=10.0)
    warmup_steps: int = limited(low=0)
    amplitude_weight: float = limited(low=0.0)
    frequency_weight: float = limited(low=0.0)
    kl_weight: float = limited(low=0.0)
    kl_warmup_steps: int = limited(low=0)
    free_bits: float = limited(low=0.0)  # nats per latent
    patience: int = limited(low=1)  # epochs without a better validation loss


@dataclass
class Trainer:
    """The machine."""

    accelerator: str = limited(choices=("auto", "cpu", "gpu", "mps"))
    devices: int = limited(low=1, high=1024)
    strategy: str = limited(choices=("auto", "ddp"))
    precision: str = limited(choices=("auto", "32-true", "bf16-mixed"))
    max_epochs: int = limited(low=1)
    gradient_clip_val: float = limited(low=0.0)
    limit_train_batches: int | None = limited(None, low=1)
    limit_val_batches: int | None = limited(None, low=1)
    limit_test_batches: int | None = limited(None, low=1)


@dataclass
class Media:
    """What can be seen and heard of a run."""

    sounds: int = limited(low=1, high=32)  # held-out sounds in TensorBoard and in the report


@dataclass
class Config:
    """A run."""

    latent_dim: int = limited(low=1, high=65536)
    minutes: float | None = limited(low=0.01, high=1e6)  # of training; null: until max_epochs or a plateau
    seed: int = limited(low=0, high=2**31 - 1)
    name: str = MISSING
    preset: str = MISSING  # the name of the preset, to tell runs apart by
    data: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    representation: Representation = field(default_factory=Representation)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    trainer: Trainer = field(default_factory=Trainer)
    media: Media = field(default_factory=Media)


def register() -> None:
    """Make the schema known to Hydra; ``conf/config.yaml`` names it first in its defaults."""
    ConfigStore.instance().store(name="schema", node=Config)


def keys(schema: type = Config, prefix: str = "") -> Iterator[str]:
    """Every key of the configuration, dotted."""
    for item in fields(schema):
        yield prefix + item.name
        if is_dataclass(item.type):
            yield from keys(item.type, f"{prefix}{item.name}.")


def check(config: DictConfig) -> dict:
    """Hold every value against its range, and hand the configuration on as a plain dict.

    Raises:
        Refusal: a value is missing or out of range; names the key, the value, what is allowed
    """
    for key in OmegaConf.missing_keys(config):
        hint = "give a folder of sound files, as in data.root=DIR" if key == "data.root" else "give it a value"
        raise Refusal(f"{key} is not set; {hint}")
    plain = OmegaConf.to_container(config, resolve=True)
    check_ranges(plain, Config)
    return plain


def check_ranges(values: dict, schema: type, prefix: str = "") -> None:
    """The recursive part of ``check``."""
    known = [item.name for item in fields(schema)]
    for name in values.keys() - set(known):
        raise Refusal(f"{prefix}{name} is no setting; {nearest(name, known)}")
    for item in fields(schema):
        key, value = prefix + item.name, values[item.name]
        if is_dataclass(item.type):
            check_ranges(value, item.type, f"{key}.")
            continue
        low, high, choices = (item.metadata.get(name) for name in ("low", "high", "choices"))
        if choices and value not in choices:
            raise Refusal(f"{key}={value}: {nearest(str(value), choices)}")
        if value is None or (low is None and high is None):
            continue
        # written so that NaN fails as well
        if not ((low is None or value >= low) and (high is None or value <= high)):
            allowed = f"at least {low}" if high is None else f"{low} to {high}"
            raise Refusal(f"{key}={value} is out of range; allowed: {allowed}")
