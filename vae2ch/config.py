"""Types and ranges of all settings, whose values are in ``conf/``. Imports no torch, so that errors appear at once."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, cast, get_args

from vae2ch.errors import InputError, suggest

Settings = TypeVar("Settings")


def ranged(low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field that ``from_mapping`` requires to lie in [low, high], or to be one of ``choices``."""
    return field(metadata={"low": low, "high": high, "choices": choices})


@dataclass(kw_only=True)
class DataConfig:
    """Source of the sounds, split and batches."""

    source: str = ranged(choices=("notes", "folder", "nsynth"))
    root: str
    validation: float = ranged(0.0, 0.9)  # fraction of the recordings
    test: float = ranged(0.0, 0.9)
    cache: str | None  # folder for decoded sounds; null: decode at every run
    limit: int | None = ranged(1)  # files per NSynth split; null: all
    train_segments: int | None = ranged(1)  # train on this many segments only, the first; null: all
    batch_size: int = ranged(2)
    epoch_segments: int = ranged(1)  # minimum number of segments in an epoch
    workers: int | None = ranged(0, 64)  # processes of the DataLoader; null: depends on the device
    changed: str = ranged(choices=("refuse", "accept"))  # other sounds than before in a resumed run


@dataclass(kw_only=True)
class AugmentConfig:
    """Random variation of the training segments."""

    speed: float = ranged(0.0, 1.0)  # maximum relative change of speed and pitch; 0.06 is a semitone
    shift: float = ranged(0.0, 1.0)  # maximum delay in seconds
    gain_db: float = ranged(0.0, 40.0)  # maximum deviation in dB of the loudest bin from full scale
    polarity: bool  # whether to flip the sign of half of the segments


@dataclass
class RepresentationConfig:
    """Parameters of the transform between waveform and spectrogram."""

    sample_rate: int = ranged(8000, 192000)  # Hz
    n_fft: int = ranged(64, 16384)  # samples per window, even
    hop: int = ranged(16, 8192)  # samples between frames
    frames: int = ranged(2, 4096)  # frames per segment
    gain: float = ranged(1.0, 1e8)  # inverse of the amplitude at the knee of the logarithm


@dataclass
class ModelConfig:
    """Size and dropout of the VAE."""

    latent_dim: int = ranged(1, 65536)
    dropout: float = ranged(0.0, 0.95)


@dataclass
class TrainingConfig:
    """Loss weights, optimiser and schedule."""

    learning_rate: float = ranged(0.0, 1.0)
    weight_decay: float = ranged(0.0, 10.0)
    warmup_steps: int = ranged(0)
    amplitude_weight: float = ranged(0.0)
    frequency_weight: float = ranged(0.0)
    kl_weight: float = ranged(0.0)
    kl_warmup_steps: int = ranged(0)
    free_bits: float = ranged(0.0)  # nats per latent
    patience: int = ranged(1)  # epochs without a lower validation loss before the run stops


@dataclass
class TrainerConfig:
    """Device, precision and limits of the Lightning Trainer."""

    accelerator: str = ranged(choices=("auto", "cpu", "gpu", "mps"))
    devices: int = ranged(1, 1024)
    strategy: str = ranged(choices=("auto", "ddp"))
    precision: str = ranged(choices=("auto", "32-true", "bf16-mixed"))
    max_epochs: int = ranged(1)
    gradient_clip_val: float = ranged(0.0)
    limit_train_batches: int | None = ranged(1)
    limit_val_batches: int | None = ranged(1)
    limit_test_batches: int | None = ranged(1)


@dataclass
class MediaConfig:
    """Audio and images in TensorBoard and in the report."""

    sounds: int = ranged(1, 32)  # per split; also samples


@dataclass(kw_only=True)
class RunConfig:
    """All settings of one run."""

    latent_dim: int = ranged(1, 65536)
    minutes: float | None = ranged(0.01, 1e6)  # time limit of the training; null: none
    seed: int = ranged(0, 2**31 - 1)
    name: str
    preset: str
    start: str  # initial weights: pca, random, or the path of a run or checkpoint
    save_minutes: float = ranged(0.0, 1e6)  # minutes between two saves of last.ckpt
    keep_last: bool  # whether last.ckpt is kept at the end of a run
    data: DataConfig
    augment: AugmentConfig
    representation: RepresentationConfig
    model: ModelConfig
    training: TrainingConfig
    trainer: TrainerConfig
    media: MediaConfig


@dataclass
class CodecConfig:
    """Settings that a trained model needs; a checkpoint stores them."""

    representation: RepresentationConfig
    model: ModelConfig
    amplitude_weight: float = ranged(0.0)  # as in training; also used to optimise the latents of a segment
    kl_weight: float = ranged(0.0)


def keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """All keys of a dataclass and of the dataclasses in it, joined by dots."""
    for item in fields(schema):
        yield prefix + item.name
        if is_dataclass(item.type):
            yield from keys(item.type, f"{prefix}{item.name}.")


def from_mapping(schema: type[Settings], values: Mapping[str, Any], prefix: str = "") -> Settings:
    """Build a dataclass from nested mappings; ``prefix`` is the key of the group, with a dot.

    Raises ``InputError`` if a key is unknown or missing, or a value has the wrong type or is out of range.
    """
    known = {item.name: item for item in fields(schema)}  # type: ignore[arg-type]
    for name in values.keys() - known.keys():
        raise InputError(f"unknown setting {prefix}{name}; {suggest(str(name), known)}")
    for name in known.keys() - values.keys():
        raise InputError(f"{prefix}{name} is not set")
    return schema(**{name: checked(prefix + name, item, values[name]) for name, item in known.items()})


def checked(key: str, item: Field, value: Any) -> Any:
    """The value of one field, converted to its dataclass or to float. Raises ``InputError`` as ``from_mapping``."""
    if is_dataclass(item.type) and isinstance(value, Mapping):
        return from_mapping(cast(type, item.type), value, f"{key}.")
    types = get_args(item.type) or (item.type,)
    if float in types and type(value) is int:
        value = float(value)
    if type(value) not in types:  # exact, as a bool is an int too
        names = " or ".join("null" if kind is NoneType else kind.__name__ for kind in types)
        raise InputError(f"{key}={value}: expected {names}")
    low, high, choices = (item.metadata.get(name) for name in ("low", "high", "choices"))
    if choices and value not in choices:
        raise InputError(f"{key}={value}: {suggest(str(value), choices)}")
    inside = value is None or low is None or (value >= low and (high is None or value <= high))  # false for NaN
    if not inside:
        allowed = f"at least {low}" if high is None else f"{low} to {high}"
        raise InputError(f"{key}={value} is out of range; allowed: {allowed}")
    return value
