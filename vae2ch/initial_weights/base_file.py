"""The file of a base model: 8 bits a weight, with a scale for each block of weights, and a description.

Of the posterior's variances only their averages are kept, as a start from the base needs no more.
"""

import math
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vae2ch.config import RepresentationConfig, from_mapping
from vae2ch.errors import InputError
from vae2ch.model import VAE, padded_length

SUFFIX = ".base"
SHIPPED = Path(__file__).parent  # holds the base models that come along
FORMAT = 1
BLOCK = 128  # weights with a common scale
LEVELS = 127  # of each sign
SMALL = 4096  # tensors with fewer weights, as biases, are kept in float32
LATENT = "encoder.latent."


class Base(NamedTuple):
    """A base model, and what it was made for."""

    vae: VAE
    variance: Tensor  # of the posterior, averaged over sounds  [D]
    representation: RepresentationConfig
    kl_weight: float
    about: dict[str, str]  # name, date, data, licence, training

    def __str__(self) -> str:
        return f"base {self.about['name']} of {self.about['date']}"


def shipped_base(representation: RepresentationConfig) -> Base | None:
    """The base model that comes along for a representation, if there is one.

    The sample rate may differ: the same bins then hold other frequencies, as those of a sound at another speed.
    """
    for base in map(read_base, sorted(SHIPPED.glob(f"*{SUFFIX}"))):
        if replace(base.representation, sample_rate=representation.sample_rate) == representation:
            return base
    return None


def quantised(weights: Tensor) -> dict[str, Tensor]:
    """Integers and scales of weights of any shape."""
    flat = weights.detach().float().flatten()
    blocks = torch.nn.functional.pad(flat, (0, -flat.numel() % BLOCK)).unflatten(0, (-1, BLOCK))
    scale = (blocks.abs().amax(dim=1, keepdim=True) / LEVELS).half().float()
    steps = (blocks / scale.clamp(min=1e-12)).round().clamp(-LEVELS, LEVELS).to(torch.int8)
    return {"steps": steps.flatten()[: flat.numel()].clone(), "scale": scale.flatten().half()}


def restored(stored: dict[str, Tensor], shape: torch.Size) -> Tensor:
    """Weights of a shape from integers and scales."""
    steps, scale = stored["steps"], stored["scale"].float()
    blocks = torch.nn.functional.pad(steps, (0, -steps.numel() % BLOCK)).unflatten(0, (-1, BLOCK)).float()
    return (blocks * scale[:, None]).flatten()[: math.prod(shape)].reshape(shape)


def write_base(path: Path, base: Base) -> None:
    """Write a base model."""
    dim = base.vae.latent_dim
    state = {name: tensor.detach().cpu() for name, tensor in base.vae.state_dict().items()}
    state |= {name: state[name][:dim] for name in (f"{LATENT}weight", f"{LATENT}bias")}  # the means alone
    torch.save(
        {
            "format": FORMAT,
            "latent_dim": dim,
            "weights": {name: stored(tensor.contiguous()) for name, tensor in state.items()},
            "variance": base.variance.cpu(),
            "representation": asdict(base.representation),
            "kl_weight": base.kl_weight,
            "about": base.about,
        },
        path,
    )


def stored(tensor: Tensor) -> Tensor | dict[str, Tensor]:
    """A tensor as the file holds it."""
    return quantised(tensor) if tensor.numel() >= SMALL else tensor.clone()


def read_base(path: Path) -> Base:
    """Read a base model. Raises ``InputError`` if the file is none."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        if found["format"] != FORMAT:
            raise InputError(f"{path} has format {found['format']}; this version reads {FORMAT}")
        representation = from_mapping(RepresentationConfig, found["representation"])
        bins, frames = representation.n_fft // 2 + 1, representation.frames
        vae = VAE(bins=padded_length(bins), frames=padded_length(frames), latent_dim=found["latent_dim"])
        state = vae.state_dict()
        for name, kept in found["weights"].items():
            part = state[name][: found["latent_dim"]] if name.startswith(LATENT) else state[name]
            part.copy_(restored(kept, part.shape) if isinstance(kept, dict) else kept)
        vae.load_state_dict(state)
    except (OSError, pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no base model ({str(error).splitlines()[0]})") from None
    return Base(vae.eval().requires_grad_(False), found["variance"], representation, found["kl_weight"], found["about"])
