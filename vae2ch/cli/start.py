"""Initial weights of a run: of the base model in the package, the PCA of its sounds, an earlier model, or random."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch

from vae2ch.cli import hardware
from vae2ch.codec import SoundCodec
from vae2ch.config import CodecConfig, RepresentationConfig
from vae2ch.data import SoundDataModule
from vae2ch.errors import InputError
from vae2ch.files import expand_home
from vae2ch.initial_weights.base import (
    BASE_SEGMENTS,
    SEGMENTS_PER_LATENT,
    features_of,
    initialise_from_base,
    initialise_from_first_latents,
)
from vae2ch.initial_weights.base_file import SUFFIX, Base, read_base, read_representation, shipped_bases
from vae2ch.initial_weights.pca import PCA_SEGMENTS, initialise_from_pca
from vae2ch.training import CodecTraining

BASE, PCA, RANDOM = "base", "pca", "random"


class Start(NamedTuple):
    """Initial weights of a run: their name, and the model that they come from."""

    name: str  # as a checkpoint has it
    base: Base | None = None  # None: PCA, or random weights


def read_start(start: str, config: CodecConfig) -> Start:
    """Initial weights that ``start`` names. Raises ``InputError`` if it is no model, or has other settings."""
    if start == BASE:
        base = shipped_base(config.representation)
        return Start(base.name, base) if base else Start(f"{PCA}, as there is no base model for this representation")
    if start in (PCA, RANDOM):
        return Start(start)
    path = expand_home(start)
    if not path.exists():
        raise InputError(
            f"start={start}: allowed are base, pca, random, and a run, checkpoint or base model that exists"
        )
    if path.is_file() and path.suffix == SUFFIX:
        base = read_base(path)
        check_settings(start, "representation", asdict(config.representation), asdict(base.representation))
        return Start(f"{path.parent}/{base.name}", base)
    codec = SoundCodec.load(path)
    for group in ("representation", "model"):
        check_settings(start, group, asdict(getattr(config, group)), asdict(getattr(codec.config, group)))
    settings, dim = codec.config, codec.vae.latent_dim
    return Start(start, Base(codec.vae, settings.representation, settings.kl_weight, dim, start, {}))


def shipped_base(representation: RepresentationConfig) -> Base | None:
    """The base model in the package for a representation, if there is one.

    The sample rate may differ: the same bins then hold other frequencies, as those of a sound at another speed.
    """
    path = shipped_file(representation)
    return read_base(path) if path else None


def shipped_file(representation: RepresentationConfig) -> Path | None:
    """The file of ``shipped_base``."""
    for path in shipped_bases():
        if replace(read_representation(path), sample_rate=representation.sample_rate) == representation:
            return path
    return None


def check_settings(start: str, group: str, this: dict, other: dict) -> None:
    """Raise ``InputError`` if a run and the model to start from differ in a setting that cannot be changed."""
    for name, value in this.items():
        if other[name] != value and name not in ("dropout", "latent_dim", "sample_rate"):
            raise InputError(
                f"start={start}: it has {group}.{name}={other[name]}, this run {value}; "
                f"set {group}.{name}={other[name]}, or give another start"
            )


@torch.no_grad()
def initialise(module: CodecTraining, data: SoundDataModule, start: Start) -> None:
    """Set the initial weights, and ``module.start`` to what they are."""
    vae = module.codec.vae
    module.start = start.name
    if start.base and vae.latent_dim in (start.base.core, start.base.vae.latent_dim):
        initialise_from_first_latents(vae, start.base.vae)
    elif start.base:
        initialise_from_components(module, data, start.base)
    elif start.name != RANDOM:
        log_magnitude = data.sample_log_magnitudes(PCA_SEGMENTS)
        initialise_from_pca(vae, log_magnitude, module.config.kl_weight, math.prod(data.representation.size))


def initialise_from_components(module: CodecTraining, data: SoundDataModule, base: Base) -> None:
    """Set the weights to those of a base, with components of its latents."""
    vae, precision = module.codec.vae, module.codec.autocast_dtype
    dtype = precision and hardware.autocast_dtype(module.device.type)  # on the CPU, whatever device trains
    count = max(BASE_SEGMENTS, SEGMENTS_PER_LATENT * vae.latent_dim)
    with torch.autocast(module.device.type, dtype, enabled=dtype is not None):
        features = data.sample(count, lambda batch: features_of(base.vae, batch.spectrogram))
    ratio = module.config.kl_weight / base.kl_weight if base.kl_weight else 1.0
    initialise_from_base(vae, base.vae, features, core=base.core, ratio=ratio)
