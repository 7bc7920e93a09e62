"""Initialise a VAE from a base model: the same layers, and its first latents or components of them.

A model with as many latents as the base or its core has copies of these. For another number the latents of the core,
and beyond them those of the rest, are rotated into their principal components over a collection, ordered by what they
change in the output, of which the new model keeps as many as it has latents. All of that is linear, so it is multiplied
into the linear layers on both sides: nothing is lost but the components that are not kept.

Axes: N segments, E latents of the base, D latents of the new model, K features.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vae2ch.initial_weights.pca import principal_components
from vae2ch.model import LOGVAR_RANGE, VAE

BASE_SEGMENTS = 300  # training segments that the components are computed of, half or more of them augmented
SEGMENTS_PER_LATENT = 2  # at least, for a model with many latents
MIN_RATIO = 1e-3  # of the weights of the KL, which would be 0 in a run without it
MIN_SHARE = 1e-6  # of the features' variance, below which a component of the rest is rounding
RESIDUAL_POSTERIOR = 0.5  # variance of latents beyond the base's; what they add to the output starts at 0


class Rotation(NamedTuple):
    """Linear maps between the base's latents z and the new ones: ``(z - mean) @ forward.T`` and back."""

    mean: Tensor  # [E]
    forward: Tensor  # [D, E]
    backward: Tensor  # [E, D]
    variance: Tensor  # of the posterior of the new latents  [D]


@torch.no_grad()
def initialise_from_base(vae: VAE, base: VAE, features: Tensor, *, core: int | None = None, ratio: float = 1.0) -> None:
    """Set the weights of ``vae`` to those of ``base``, for a collection with the features [N, K], N >= 2.

    Features are what the base's last convolution returns. The first ``core`` latents of the base suffice without the
    others, by default all; ``ratio`` is the new weight of the KL divided by the base's.
    """
    copy_layers(vae, base)
    count, dim = base.latent_dim, vae.latent_dim
    weight, bias = base.encoder.latent.weight[:count].float(), base.encoder.latent.bias[:count].float()
    latents = features @ weight.T + bias
    rotation = rotation_of_blocks(latents, average_variance(base, features), core or count, dim, ratio)
    encode, decode = vae.encoder.latent, vae.decoder.latent
    kept, used = rotation.forward.shape
    encode.weight[:kept] = rotation.forward @ weight[:used]
    encode.bias[:kept] = rotation.forward @ (bias[:used] - rotation.mean)
    encode.weight[dim:] = 0  # the same variance for all sounds, as in the PCA initialisation
    encode.bias[dim:] = torch.log(torch.cat([rotation.variance, torch.ones(dim - kept)]))
    decode.weight[:, :kept] = base.decoder.latent.weight[:, :used] @ rotation.backward
    decode.bias[:] = base.decoder.latent.bias + base.decoder.latent.weight[:, :used] @ rotation.mean
    if dim > kept:
        add_residual(vae, features, weight, kept)


def features_of(base: VAE, spectrogram: Tensor) -> Tensor:
    """Output of the base's last convolution for [N, 2, F, T]  [N, K]"""
    return base.encoder.layers(spectrogram.contiguous(memory_format=torch.channels_last)).flatten(1).float()


def average_variance(base: VAE, features: Tensor) -> Tensor:
    """Harmonic mean over segments of the variance of the base's posterior  [E]"""
    _, logvar = (features @ base.encoder.latent.weight.T.float() + base.encoder.latent.bias).chunk(2, dim=1)
    return 1 / (-logvar.clamp(*LOGVAR_RANGE)).exp().mean(dim=0)


@torch.no_grad()
def initialise_from_first_latents(vae: VAE, base: VAE) -> None:
    """Set the weights of ``vae`` to those of ``base`` without its last latents, which ``vae`` has not."""
    copy_layers(vae, base)
    dim, count = vae.latent_dim, base.latent_dim
    for part, source in (
        (vae.encoder.latent.weight, base.encoder.latent.weight),
        (vae.encoder.latent.bias, base.encoder.latent.bias),
    ):
        part[:dim], part[dim:] = source[:dim], source[count : count + dim]
    vae.decoder.latent.weight[:] = base.decoder.latent.weight[:, :dim]
    vae.decoder.latent.bias[:] = base.decoder.latent.bias


def copy_layers(vae: VAE, base: VAE) -> None:
    """Copy all layers but the two linear ones beside the latents."""
    state = {name: value for name, value in base.state_dict().items() if ".latent." not in name}
    vae.load_state_dict(state, strict=False)


def rotation_of_blocks(latents: Tensor, variance: Tensor, core: int, dim: int, ratio: float) -> Rotation:
    """The ``dim`` components of latents [N, E], those of the first ``core`` before those of the others.

    Up to ``core`` the others are left out: they are 0, as in the training of the base.
    """
    blocks = [part for part in (slice(0, core), slice(core, latents.shape[1])) if part.start < min(dim, part.stop)]
    parts = [
        collection_rotation(latents[:, part], variance[part], min(dim, part.stop) - part.start, ratio)
        for part in blocks
    ]
    mean, forward, backward, variances = zip(*parts, strict=True)
    return Rotation(torch.cat(mean), torch.block_diag(*forward), torch.block_diag(*backward), torch.cat(variances))


def collection_rotation(latents: Tensor, base_variance: Tensor, count: int, ratio: float) -> Rotation:
    """The ``count`` components of a collection's latents [N, E] with the largest share in the output.

    A posterior variance v says how much a latent changes the output: by ``1 / v - 1``, in units of the noise that the
    decoder allows (the optimum of a linear VAE). With latents scaled by its root, noise has a variance of 1, and a
    component of variance s has the posterior variance ``1 / (1 + s)`` once the sum of both is scaled to 1.
    """
    mean = latents.mean(dim=0)
    scale = ((1 / base_variance.clamp(1e-5, 0.999) - 1) / max(ratio, MIN_RATIO)).sqrt()  # [E]
    scaled = (latents - mean) * scale
    energy = scaled.T.double() @ scaled.double() / len(scaled)
    variance, directions = (part.float() for part in torch.linalg.eigh(energy))  # ascending
    variance, directions = variance.flip(0)[:count].clamp(min=0), directions.flip(1)[:, :count]
    spread = (1 + variance).sqrt()
    return Rotation(mean, directions.T * scale / spread[:, None], directions * spread / scale[:, None], 1 / spread**2)


def add_residual(vae: VAE, features: Tensor, weight: Tensor, kept: int) -> None:
    """Let further latents encode principal components of the part of the features [N, K] that the base does not read.

    ``weight`` [E, K] is that of the base's latents: they are a function of the features' projection onto its rows. The
    decoder ignores the further latents at first.
    """
    dim, encode = vae.latent_dim, vae.encoder.latent
    read = torch.linalg.qr(weight.T).Q  # [K, E]
    unread = features - (features @ read) @ read.T
    mean, variances, directions = principal_components(unread, dim - kept)
    found = int((variances > MIN_SHARE * features.var(dim=0, correction=0).sum()).sum())
    rows = directions[:, :found].T * ((1 - RESIDUAL_POSTERIOR) / variances[:found, None]).sqrt()
    encode.weight[kept:dim] = 0
    encode.bias[kept:dim] = 0
    encode.weight[kept : kept + found] = rows
    encode.bias[kept : kept + found] = -rows @ mean
    encode.bias[dim + kept : dim + kept + found] = math.log(RESIDUAL_POSTERIOR)
    vae.decoder.latent.weight[:, kept:] = 0
