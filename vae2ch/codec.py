"""A trained model as one object: sounds to latents and back, new sounds, variations of sounds.

Axes: S samples, N segments of one sound, L samples of a segment, D latents; ``...`` any batch dimensions.
"""

import math
import pickletools
import re
import zipfile
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae2ch.config import CodecConfig, from_mapping
from vae2ch.errors import InputError, printable, short_text
from vae2ch.latents import SMOOTHING, LatentDistribution, LatentOptimiser
from vae2ch.model import VAE, pad_to_stride, padded_length
from vae2ch.phase import synthesise
from vae2ch.representation import Representation

CHECKPOINT_FORMAT = 7  # raised when what a checkpoint holds changes
CHECKPOINT_KEY = "vae2ch"
CHECKPOINT_NAMES = ("best.ckpt", "last.ckpt", "previous.ckpt")  # in a run's folder; the first is the one to use
# what a checkpoint's pickle may construct: plain tensors and dicts, whose sizes are those of the file
CONSTRUCTED = re.compile(r"torch \w+Storage|torch\._utils _rebuild_tensor_v2|collections OrderedDict")
STATE_PREFIX = "codec."  # of the parameters in a checkpoint: the attribute of the LightningModule
OVERLAP_DIVISOR = 8  # segments overlap by an eighth
BATCH = 16  # segments processed at once, to bound the memory


class Encoding(NamedTuple):
    """A sound as overlapping segments."""

    latent: Tensor  # [..., N, D]
    level: Tensor  # amplitude of the loudest bin of each segment, re full scale  [..., N]


class SoundCodec(nn.Module):
    """Representation, VAE and the distribution of the training latents.

    >>> codec = SoundCodec.load("outputs/RUN")            # a run's folder or a checkpoint
    >>> latent, level = codec.encode(wave)                # [N, D], [N]: one row per segment
    >>> made = codec.decode(latent, level)                # back to a waveform, padded to whole segments
    >>> made = codec.reconstruct(wave)                    # both at once; as long as ``wave``
    >>> new = codec.sample(8, seed=0)                     # eight new sounds  [8, L]
    >>> other = codec.perturb(wave, seed=0)               # a variation of a sound

    Waveforms are mono float32 in [-1, 1] at ``codec.sample_rate``, of any length, with any batch dimensions.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.representation = Representation(config.representation)
        self.sample_rate, self.segment = self.representation.sample_rate, self.representation.segment  # Hz, samples
        bins, frames = map(padded_length, self.representation.size)
        self.vae = VAE(bins=bins, frames=frames, **vars(config.model))
        self.latents = LatentDistribution(config.model.latent_dim)
        self.latent_optimiser = LatentOptimiser(config.amplitude_weight, config.kl_weight)
        self.autocast_dtype: torch.dtype | None = None  # of the decoder while latents are optimised; None: float32

    @property
    def device(self) -> torch.device:
        """Device of parameters and waveforms."""
        return self.representation.window.device

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> "SoundCodec":
        """Load a checkpoint file, or a run's best or else last one, for inference. Raises ``InputError``."""
        path = find_checkpoint(Path(path))
        return cls.from_checkpoint(read_checkpoint(path), path).to(device).eval().requires_grad_(False)

    @classmethod
    def from_checkpoint(cls, checkpoint: dict, path: Path) -> "SoundCodec":
        """The codec of a checkpoint that ``read_checkpoint`` returned. Raises ``InputError`` if its parts disagree."""
        try:
            state = {name.removeprefix(STATE_PREFIX): value for name, value in checkpoint["state_dict"].items()}
            config = from_mapping(CodecConfig, checkpoint[CHECKPOINT_KEY]["config"])
            check_sizes(config, state)  # before anything of these sizes is built
            codec = cls(config)
            check_values(codec.state_dict(), state)
            codec.load_state_dict(state)
        except (InputError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{path} does not match its own settings ({short_text(error)})") from None
        return codec

    def description(self) -> dict:
        """Format number and settings, as a checkpoint stores them beside the parameters: plain dicts and numbers."""
        return {"format": CHECKPOINT_FORMAT, "config": asdict(self.config)}

    @torch.no_grad()
    def encode(self, wave: Tensor, *, optimise: bool = True) -> Encoding:
        """Latents and levels of a sound's segments, which overlap by an eighth: [..., S] -> [..., N, D], [..., N]

        With ``optimise`` the latents of each segment are optimised, otherwise they are the encoder's posterior mean.
        """
        segments = overlapping_segments(wave, self.segment)
        parts = [self._encode(part, optimise) for part in segments.flatten(0, -2).split(BATCH)]
        latent, level = (torch.cat(values).unflatten(0, segments.shape[:-1]) for values in zip(*parts, strict=True))
        return Encoding(latent, level)

    @torch.no_grad()
    def decode(self, latent: Tensor, level: Tensor) -> Tensor:
        """Waveform of overlapping segments: [..., N, D], [..., N] -> [..., S], cross-faded."""
        batches = zip(latent.flatten(0, -2).split(BATCH), level.flatten().split(BATCH), strict=True)
        parts = [synthesise(self.representation, self.spectrogram(z), part_level) for z, part_level in batches]
        return crossfade(torch.cat(parts).unflatten(0, level.shape))

    def reconstruct(self, wave: Tensor) -> Tensor:
        """Encode and decode a sound: [..., S] -> [..., S]"""
        return self.decode(*self.encode(wave))[..., : wave.shape[-1]]

    @torch.no_grad()
    def ceiling(self, wave: Tensor) -> Tensor:
        """Analyse and synthesise a sound without the VAE: [..., S] -> [..., S], exact up to rounding."""
        segments = overlapping_segments(wave, self.segment)
        batches = segments.flatten(0, -2).split(BATCH)
        parts = [synthesise(self.representation, *self.representation(part)) for part in batches]
        return crossfade(torch.cat(parts).unflatten(0, segments.shape[:-1]))[..., : wave.shape[-1]]

    @torch.no_grad()
    def perturb(self, wave: Tensor, *, seed: int, smoothing: float = SMOOTHING) -> Tensor:
        """Random variation of a sound, with its peak amplitude; all its segments get the same noise  [..., S]

        A ``smoothing`` of 0 keeps the latents, 1 replaces them by a sample of the Gaussian of the training latents.
        """
        latent, level = self.encode(wave, optimise=False)
        noise = torch.randn(*wave.shape[:-1], 1, latent.shape[-1], generator=torch.Generator().manual_seed(seed))
        varied = self.decode(self.latents.perturb(latent, noise, smoothing), level)
        return scale_to_peak(varied[..., : wave.shape[-1]], wave.abs().amax(dim=-1))

    @torch.no_grad()
    def sample(self, count: int, *, seed: int, smoothing: float = SMOOTHING) -> Tensor:
        """New sounds from the distribution of the training latents  [count, L]"""
        return self.render(*self.latents.sample(count, torch.Generator().manual_seed(seed), smoothing))

    @torch.no_grad()
    def render(self, latent: Tensor, peak: Tensor) -> Tensor:
        """One segment for each latent vector, scaled to a peak amplitude: [..., D], [...] -> [..., L]"""
        # to a peak, not a level: decoded noise has a smoother spectrum, so with the same loudest bin it is louder
        return scale_to_peak(self.decode(latent[..., None, :], torch.ones_like(peak)[..., None]), peak)

    def spectrogram(self, latent: Tensor) -> Tensor:
        """Decoded spectrograms without the padding: [B, D] -> [B, 2, F, T]"""
        bins, frames = self.representation.size
        return self.vae.decode(latent)[..., :bins, :frames]

    def _encode(self, segments: Tensor, optimise: bool) -> tuple[Tensor, Tensor]:
        """Latents and levels of segments: [B, L] -> [B, D], [B]"""
        spectrogram, level = self.representation(segments)
        posterior = self.vae.encode(pad_to_stride(spectrogram))
        if not optimise:
            return posterior.mean, level
        return self.latent_optimiser(self._fast_spectrogram, spectrogram[:, 0], posterior), level

    def _fast_spectrogram(self, latent: Tensor) -> Tensor:
        """``spectrogram``, in the precision that ``autocast_dtype`` allows."""
        dtype = self.autocast_dtype
        with torch.autocast(latent.device.type, dtype, enabled=dtype is not None):
            return self.spectrogram(latent)


def overlapping_segments(wave: Tensor, length: int) -> Tensor:
    """Overlapping segments of a waveform, padded with zeros at its end: [..., S] -> [..., N, length]"""
    stride = length - length // OVERLAP_DIVISOR
    count = 1 + max(0, math.ceil((wave.shape[-1] - length) / stride))
    whole = length + (count - 1) * stride
    return functional.pad(wave, (0, whole - wave.shape[-1])).unfold(-1, length, stride)


def crossfade(segments: Tensor) -> Tensor:
    """Waveform of overlapping segments, cross-faded linearly: [..., N, L] -> [..., S]"""
    count, length = segments.shape[-2:]
    overlap = length // OVERLAP_DIVISOR
    stride = length - overlap
    ramp = torch.linspace(0, 1, overlap + 2, device=segments.device)[1:-1]
    weight = torch.ones(count, length, device=segments.device)
    weight[1:, :overlap] = ramp
    weight[:-1, length - overlap :] = ramp.flip(0)
    wave = segments.new_zeros(*segments.shape[:-2], length + (count - 1) * stride)
    for number in range(count):
        wave[..., number * stride : number * stride + length] += weight[number] * segments[..., number, :]
    return wave


def scale_to_peak(wave: Tensor, peak: Tensor) -> Tensor:
    """Waveforms [..., S] whose largest absolute sample is ``peak`` [...]."""
    return wave * (peak / wave.abs().amax(dim=-1).clamp(min=1e-9))[..., None]


def find_checkpoint(path: Path) -> Path:
    """Best or else last checkpoint of a run's folder, or ``path`` itself if it is a file; ``InputError`` if none."""
    if path.is_file():
        return path
    if not path.exists():
        raise InputError(f"{path} does not exist; give a run's folder (outputs/...) or a .ckpt file")
    for name in CHECKPOINT_NAMES:
        if (found := path / "checkpoints" / name).is_file():
            return found
    raise InputError(f"{path} holds no checkpoints/best.ckpt or last.ckpt; give a run's folder or a .ckpt file")


def read_checkpoint(path: Path) -> dict:
    """Contents of a checkpoint file. Raises ``InputError`` if it is damaged, foreign, or of another format."""
    try:
        check_archive(path)
        # weights_only: a checkpoint is data, and nothing in it may be executed
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile and torch raise half a dozen types for files in other formats
        raise InputError(f"{path} is not a readable checkpoint, or is truncated ({short_text(error)})") from None
    if not isinstance(checkpoint, dict) or CHECKPOINT_KEY not in checkpoint:
        raise InputError(f"{path} is a checkpoint, but not of vae2ch")
    description = checkpoint[CHECKPOINT_KEY]
    # formats 1 to 6 stored the number alone
    found = description.get("format") if isinstance(description, dict) else description
    if type(found) is not int or found != CHECKPOINT_FORMAT:
        raise InputError(
            f"{path} has checkpoint format {printable(found)}; this version reads format {CHECKPOINT_FORMAT}"
        )
    state = checkpoint.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} has no parameters (state_dict)")
    if sum(value.numel() * value.element_size() for value in state.values()) > path.stat().st_size:
        raise InputError(f"{path} claims more parameters than it holds")
    return checkpoint


def check_archive(path: Path) -> None:
    """Raise ``ValueError`` if a checkpoint is damaged, or would take more memory than the file has bytes."""
    with path.open("rb") as file, zipfile.ZipFile(file) as parts:
        file.seek(0)
        if file.read(4) != b"PK\3\4":  # torch would read another format
            raise ValueError("it does not begin as an archive")
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):
            raise ValueError("its parts are compressed, and could be of any size")
        if damaged := parts.testzip():  # torch does not compare the checksums
            raise ValueError(f"the checksum of {damaged} is wrong")
        pickles = [parts.read(name) for name in parts.namelist() if name.endswith("data.pkl")]
    for opcode, argument, _ in chain.from_iterable(map(pickletools.genops, pickles)):
        if opcode.name == "GLOBAL" and not CONSTRUCTED.fullmatch(str(argument)):
            raise ValueError(f"it would construct {str(argument).replace(' ', '.')}")


def check_sizes(config: CodecConfig, state: dict[str, Tensor]) -> None:
    """Raise ``ValueError`` if parameters have other sizes than ``config`` says, without allocating memory for them."""
    bins, frames = map(padded_length, Representation(config.representation).size)
    with torch.device("meta"):
        vae = VAE(bins=bins, frames=frames, **vars(config.model))
    dim = config.model.latent_dim
    expected = {f"vae.{name}": tuple(value.shape) for name, value in vae.state_dict().items()}
    expected["latents.covariance"] = (dim, dim)
    for name, shape in expected.items():
        if (found := tuple(state[name].shape)) != shape:
            raise ValueError(f"{name} has the size {found}, not {shape}")


def check_values(expected: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Raise ``ValueError`` if parameters have other types than expected, or are not finite."""
    for name in expected.keys() & state.keys():
        if state[name].dtype != expected[name].dtype:
            raise ValueError(f"{name} has the type {state[name].dtype}, not {expected[name].dtype}")
        if not torch.isfinite(state[name]).all():
            raise ValueError(f"{name} is not finite")
