"""Initial weights of a run: of the base model that comes along, the PCA of its sounds, an earlier run, or random."""

import math
from dataclasses import asdict

import torch
from torch import Tensor

from vae2ch.codec import SoundCodec
from vae2ch.config import CodecConfig
from vae2ch.data import SoundDataModule
from vae2ch.errors import InputError
from vae2ch.files import expand_home
from vae2ch.initial_weights.base import BASE_SEGMENTS, average_variance, features_of, initialise_from_base
from vae2ch.initial_weights.base_file import SUFFIX, Base, read_base, shipped_base
from vae2ch.initial_weights.pca import PCA_SEGMENTS, initialise_from_pca
from vae2ch.training import CodecTraining

BASE, PCA, RANDOM = "base", "pca", "random"


def check_start(start: str, config: CodecConfig) -> None:
    """Raise ``InputError`` if the model to start from is none, or has another size."""
    if start not in (BASE, PCA, RANDOM):
        earlier_model(start, config)


@torch.no_grad()
def initialise(module: CodecTraining, data: SoundDataModule, start: str) -> None:
    """Set the initial weights, and ``module.start`` to what they are. Raises ``InputError`` as ``check_start`` does."""
    vae, config = module.codec.vae, module.codec.config
    module.start = start
    if start == BASE and (shipped := shipped_base(config.representation)):
        module.start = str(shipped)
        start_from(module, data, shipped)
    elif start in (BASE, PCA):
        module.start = PCA if start == PCA else f"{PCA}, as there is no base model for this representation"
        log_magnitude = data.sample_log_magnitudes(PCA_SEGMENTS)
        initialise_from_pca(vae, log_magnitude, module.config.kl_weight, math.prod(data.representation.size))
    elif start != RANDOM:
        base = earlier_model(start, config)
        if isinstance(base, SoundCodec) and base.vae.latent_dim == vae.latent_dim:
            vae.load_state_dict(base.vae.state_dict())
        else:
            start_from(module, data, base)


def start_from(module: CodecTraining, data: SoundDataModule, base: SoundCodec | Base) -> None:
    """Set the weights to those of a model, with components of its latents."""
    dtype = module.codec.autocast_dtype
    with torch.autocast(module.device.type, dtype, enabled=dtype is not None):
        features = data.sample(BASE_SEGMENTS, lambda batch: features_of(base.vae, batch.spectrogram))
    variance, kl_weight = variance_and_kl_weight(base, features)
    ratio = module.config.kl_weight / kl_weight if kl_weight else 1.0
    initialise_from_base(module.codec.vae, base.vae, variance, features, ratio)


def variance_and_kl_weight(base: SoundCodec | Base, features: Tensor) -> tuple[Tensor, float]:
    """Variance of a model's posterior [E], and the weight of the KL that it was trained with."""
    if isinstance(base, Base):
        return base.variance, base.kl_weight
    return average_variance(base.vae, features), base.config.kl_weight


def earlier_model(start: str, config: CodecConfig) -> SoundCodec | Base:
    """The model to start from. Raises ``InputError`` if it is none, or has another size than this run's."""
    path = expand_home(start)
    if not path.exists():
        raise InputError(
            f"start={start}: allowed are base, pca, random, and a run, checkpoint or base model that exists"
        )
    if path.suffix == SUFFIX:
        base = read_base(path)
        check_settings(start, "representation", asdict(config.representation), asdict(base.representation))
        return base
    codec = SoundCodec.load(path)
    for group in ("representation", "model"):
        check_settings(start, group, asdict(getattr(config, group)), asdict(getattr(codec.config, group)))
    return codec


def check_settings(start: str, group: str, this: dict, other: dict) -> None:
    """Raise ``InputError`` if a run and the model to start from differ, but in what can be changed."""
    for name, value in this.items():
        if other[name] != value and name not in ("dropout", "latent_dim", "sample_rate"):
            raise InputError(
                f"start={start}: it has {group}.{name}={other[name]}, this run {value}; "
                "weights of another size cannot be used"
            )
