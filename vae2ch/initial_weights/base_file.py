"""The file of a base model: 8 bits a weight, with a scale for each block of weights, and a description.

Of the posterior's variances only their averages are kept, in the bias, as a start from the base needs no more.
"""

import hashlib
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vae2ch.config import RepresentationConfig, from_mapping
from vae2ch.errors import InputError, short_text
from vae2ch.files import replacing
from vae2ch.model import VAE, padded_length

SUFFIX = ".base"
SHIPPED = Path(__file__).parent  # holds the base models of the package
FORMAT = 1
BLOCK = 128  # weights with a common scale
LEVELS = 127  # of each sign
SMALL = 4096  # tensors with fewer weights, as biases, are kept in float32
MEANS_AND_VARIANCES = "encoder.latent.weight"  # of which the variances' half is zero


class Base(NamedTuple):
    """A model to start from, and what it was made for."""

    vae: VAE
    representation: RepresentationConfig
    kl_weight: float
    core: int  # the first latents, which suffice without the others
    name: str
    about: dict[str, str]  # date, data, licence, scores


def shipped_bases() -> list[Path]:
    """Files of the base models in the package."""
    return sorted(SHIPPED.glob(f"*{SUFFIX}"))


def quantised(weights: Tensor) -> dict[str, Tensor]:
    """Integers and scales of weights of any shape."""
    flat = weights.detach().float().flatten()
    blocks = functional.pad(flat, (0, -flat.numel() % BLOCK)).unflatten(0, (-1, BLOCK))
    scale = (blocks.abs().amax(dim=1, keepdim=True) / LEVELS).half().float()
    steps = (blocks / scale.clamp(min=1e-12)).round().clamp(-LEVELS, LEVELS).to(torch.int8)
    return {"steps": steps.flatten()[: flat.numel()].clone(), "scale": scale.flatten().half()}


def restored(stored: Tensor | dict[str, Tensor], shape: torch.Size) -> Tensor:
    """Weights of a shape from what ``stored`` made of them. Raises ``ValueError`` if they have another."""
    if (stored if isinstance(stored, Tensor) else stored["steps"]).numel() != shape.numel():
        raise ValueError("its weights have other sizes")
    if isinstance(stored, Tensor):
        return stored.reshape(shape)
    steps, scale = stored["steps"], stored["scale"].float()
    blocks = functional.pad(steps, (0, -steps.numel() % BLOCK)).unflatten(0, (-1, BLOCK)).float()
    return (blocks * scale[:, None]).flatten()[: math.prod(shape)].reshape(shape)


def write_base(path: Path, base: Base) -> None:
    """Write a base model, whose posterior must have the same variances for all sounds."""
    dim = base.vae.latent_dim
    state = {name: tensor.detach().cpu() for name, tensor in base.vae.state_dict().items()}
    state[MEANS_AND_VARIANCES] = state[MEANS_AND_VARIANCES][:dim]
    contents = {
        "format": FORMAT,
        "latent_dim": dim,
        "weights": {name: stored(tensor.contiguous()) for name, tensor in state.items()},
        "representation": asdict(base.representation),
        "kl_weight": base.kl_weight,
        "core": base.core,
        "about": base.about,
    }
    with replacing(path) as file:
        torch.save(contents, file)


def stored(tensor: Tensor) -> Tensor | dict[str, Tensor]:
    """A tensor as the file holds it."""
    return quantised(tensor) if tensor.numel() >= SMALL else tensor.clone()


def read_base(path: Path) -> Base:
    """Read a base model. Raises ``InputError`` if the file is none."""
    with no_base_model(path):
        contents = path.read_bytes()
        found = contents_of(io.BytesIO(contents))
        representation = from_mapping(RepresentationConfig, found["representation"])
        vae = vae_of(representation, found["latent_dim"], found["weights"])
        about = {str(key): str(value) for key, value in found["about"].items()}
        name = f"{path.stem} of {about['date']} ({hashlib.sha256(contents).hexdigest()[:8]})"
        core = int(found["core"])
        if not 1 <= core <= vae.latent_dim:
            raise ValueError(f"its core of {core} latents is none")
        kl_weight = float(found["kl_weight"])
        if not (math.isfinite(kl_weight) and kl_weight >= 0):
            raise ValueError(f"its kl_weight is {kl_weight}")
        return Base(vae, representation, kl_weight, core, name, about)


def read_representation(path: Path) -> RepresentationConfig:
    """Representation of a base model, without its weights, which take most of the time. Raises as ``read_base``."""
    with no_base_model(path):
        return from_mapping(RepresentationConfig, contents_of(path, mmap=True)["representation"])


def contents_of(file: Path | io.BytesIO, *, mmap: bool = False) -> dict:
    """Contents of a file of ``write_base``. Raises ``ValueError`` if its format is another."""
    found = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    if found["format"] != FORMAT:
        raise ValueError(f"it has format {found['format']}; this version reads {FORMAT}")
    return found


@contextmanager
def no_base_model(path: Path) -> Iterator[None]:
    """Turn any error into an ``InputError``, as a damaged file can raise many in torch."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{path} is no base model ({short_text(error)})") from None


def vae_of(representation: RepresentationConfig, latent_dim: int, weights: dict) -> VAE:
    """The VAE of the weights that a file holds. Raises ``ValueError`` if they are not its own."""
    bins, frames = map(padded_length, (representation.n_fft // 2 + 1, representation.frames))
    with torch.device("meta"):
        vae = VAE(bins=bins, frames=frames, latent_dim=latent_dim)
    shapes = {name: tensor.shape for name, tensor in vae.state_dict().items()}
    shapes[MEANS_AND_VARIANCES] = torch.Size((latent_dim, shapes[MEANS_AND_VARIANCES][1]))
    if shapes.keys() != weights.keys():
        raise ValueError("it has other layers")
    state = {name: restored(kept, shapes[name]) for name, kept in weights.items()}
    state[MEANS_AND_VARIANCES] = functional.pad(state[MEANS_AND_VARIANCES], (0, 0, 0, latent_dim))
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise ValueError("its weights are not finite")
    vae.load_state_dict(state, assign=True)
    return vae.to(memory_format=torch.channels_last).eval().requires_grad_(False)
