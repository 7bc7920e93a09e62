"""Types, ranges and meanings of all settings, whose values are in ``conf/``.

Imports no torch, so that errors and ``--help`` appear at once.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, cast, get_args

from vae2ch.errors import InputError, suggest

Settings = TypeVar("Settings")


def setting(meaning: str, low: float | None = None, high: float | None = None, *, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with its meaning, required by ``from_mapping`` to lie in [low, high] or to be a choice."""
    return field(metadata={"meaning": meaning, "low": low, "high": high, "choices": choices})


@dataclass(kw_only=True)
class DataConfig:
    """Source of the sounds, split and batches."""

    source: str = setting("kind of collection; data=OPTION sets it", choices=("notes", "world", "folder", "nsynth"))
    root: str = setting("folder of the sounds, searched with all folders in it")
    validation: float = setting("fraction of the recordings for validation, at least one of them", 0.0, 0.9)
    test: float = setting("fraction of the recordings for the test, at least one of them", 0.0, 0.9)
    cache: str | None = setting("folder for decoded sounds, so that a file is decoded once; null: none")
    limit: int | None = setting("files of each NSynth split; null: all", 1)
    sounds: int = setting("number of sounds of data=world", 3, 10_000_000)
    world_seed: int = setting("seed of data=world; another one gives other sounds", 0, 2**31 - 1)
    train_segments: int | None = setting("train on the first segments only, this many; null: on all", 1)
    batch_size: int = setting("segments in a training step; fewer take less memory", 2)
    epoch_segments: int = setting("segments in an epoch; it passes over a small collection several times", 1)
    workers: int | None = setting("processes that prepare batches; null: none for a CPU, up to 15 for a GPU", 0, 64)
    changed: str = setting("whether resume= accepts other sounds than before", choices=("refuse", "accept"))


@dataclass(kw_only=True)
class AugmentConfig:
    """Random variation of the training segments; the preset sets its strength, preset=auto what is null."""

    speed: float | None = setting(
        "largest relative change of speed and pitch; 0.06 is a semitone, 1 an octave", 0.0, 1.0
    )
    shift: float | None = setting("largest delay in seconds", 0.0, 1.0)
    gain_db: float | None = setting("largest change of the spectrogram's amplitude in dB", 0.0, 40.0)
    polarity: bool = setting("flip the sign of half of the segments, which is inaudible")


@dataclass
class RepresentationConfig:
    """Spectrogram: the transform between waveform and model."""

    sample_rate: int = setting("samples per second; sounds are resampled to it", 8000, 192000)
    n_fft: int = setting("samples in a window of the Fourier transform, an even number", 64, 16384)
    hop: int = setting("samples from one frame to the next", 16, 8192)
    frames: int = setting("frames in a segment", 2, 4096)
    gain: float = setting("inverse of the amplitude at the knee of the logarithm; 1e4 resolves 80 dB", 1.0, 1e8)


@dataclass
class ModelConfig:
    """Size and dropout of the VAE."""

    latent_dim: int = setting("follows latent_dim; set that instead", 1, 65536)
    dropout: float = setting("probability of dropping a feature; disturbs the initial weights", 0.0, 0.95)


@dataclass
class TrainingConfig:
    """Loss weights, optimiser and schedule."""

    learning_rate: float = setting("learning rate of layers with up to 256 inputs; less for larger ones", 0.0, 1.0)
    weight_decay: float | None = setting("pull towards the initial weights; the preset sets it", 0.0, 10.0)
    warmup_steps: int = setting("steps until the full learning rate", 0)
    amplitude_weight: float = setting("weight of the squared spectral convergence; log magnitude: 1", 0.0, 1e6)
    frequency_weight: float = setting("weight of the error of the instantaneous frequency", 0.0, 1e6)
    kl_weight: float = setting("weight of the KL divergence; higher: better samples, duller reconstructions", 0.0, 1e6)
    kl_warmup_steps: int = setting("steps until the full weight of the KL divergence", 0)
    free_bits: float = setting("KL divergence of a latent that costs nothing, in nats", 0.0, 1e6)
    core_latents: int | None = setting("latents that suffice alone in three of four segments; null: all", 1)
    patience: int = setting("epochs without a lower validation loss, after which the run stops", 1)


@dataclass
class TrainerConfig:
    """Device, precision and limits."""

    accelerator: str = setting("device", choices=("auto", "cpu", "gpu", "mps"))
    devices: int = setting("number of GPUs, or of processes on the CPU", 1, 1024)
    strategy: str = setting("ddp: several processes; trainer=ddp sets it", choices=("auto", "ddp"))
    precision: str = setting("auto: bf16 if the device has it", choices=("auto", "32-true", "bf16-mixed"))
    max_epochs: int = setting("limit of the training in epochs", 1)
    gradient_clip_val: float = setting("largest norm of the gradient; 0: no clipping", 0.0, 1e6)
    limit_train_batches: int | None = setting("training steps in an epoch; null: all", 1)
    limit_val_batches: int | None = setting("batches of a validation; null: all", 1)
    limit_test_batches: int | None = setting("batches of the test; null: all", 1)


@dataclass
class MediaConfig:
    """Audio and images in TensorBoard and in the report."""

    sounds: int = setting("validation segments in TensorBoard; of each split, and samples, in the report", 1, 32)


@dataclass(kw_only=True)
class RunConfig:
    """All settings of one run."""

    latent_dim: int = setting("number of latents that describe a segment", 1, 65536)
    minutes: float | None = setting("time limit of the training; null: epochs and patience end it", 0.01, 1e6)
    seed: int = setting("seed of all random numbers", 0, 2**31 - 1)
    name: str = setting("name of the run's folder in outputs/, by default the date and time")
    preset: str = setting("name of the preset; preset=OPTION sets it")
    start: str = setting("initial weights: base, pca of the sounds, random, a run (outputs/RUN) or a .base file")
    save_minutes: float = setting("minutes between two saves, the most that a power cut can cost", 0.0, 1e6)
    keep_last: bool = setting("keep last.ckpt of a finished run, so that it can be trained on")
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
    amplitude_weight: float = setting("as in training; also used to optimise the latents of a segment", 0.0)
    kl_weight: float = setting("as in training; also used to optimise the latents of a segment", 0.0)


def given(value: float | None) -> float:
    """A setting of the preset; with ``preset=auto`` it is null until the sounds are read. Raises ``ValueError``."""
    if value is None:
        raise ValueError("a setting of preset=auto is used before the sounds are read")
    return value


def allowed_values(item: Field) -> str:
    """The values that a field allows, as text; "" if its type says all."""
    low, high, choices = (item.metadata.get(name) for name in ("low", "high", "choices"))
    if choices:
        return ", ".join(choices)
    if low is None:
        return ""
    return f"at least {low}" if high is None else f"{low} to {high}"


def leaves(schema: Any, prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Full key and field of each setting of a dataclass and of the dataclasses in it."""
    for item in fields(schema):
        if is_dataclass(item.type):
            yield from leaves(item.type, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, item


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
        raise InputError(f"{key}={value} is out of range; allowed: {allowed_values(item)}")
    if isinstance(value, str) and not value.strip() and not os.path.lexists(value):
        raise InputError(f"{key} is empty; give a value ({item.metadata['meaning']})")
    return value
