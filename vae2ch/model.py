"""The VAE: spectrograms [B, 2, F, T] to latents [B, D] and back; F and T are multiples of 32.

encoder   2 -> 64 -> 128 -> 256 -> 512 -> 512, each layer a stride-2 convolution
latents   one vector for both channels, a diagonal Gaussian
decoder   the same widths back, then two heads: magnitude (Softplus) and frequency (Tanh)
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 2  # log magnitude, instantaneous frequency
WIDTHS = (64, 128, 256, 512, 512)
STRIDE = 2 ** len(WIDTHS)  # 32, the factor by which the encoder shrinks each axis
SOFTPLUS_BETA = 8.0  # within 7 % of linear above 0.25, as the PCA initialisation assumes
LOGVAR_RANGE = (-12.0, 8.0)  # keeps exp(logvar) finite: standard deviations from 0.0025 to 55


class Posterior(NamedTuple):
    """Diagonal Gaussian over the latents: mean and log variance  [B, D] each"""

    mean: Tensor
    logvar: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """One sample by the reparametrisation trick, from standard normal noise [B, D]  [B, D]"""
        return self.mean + noise * (0.5 * self.logvar).exp()


def padded_length(length: int) -> int:
    """The smallest multiple of 32 that is at least ``length``."""
    return length + -length % STRIDE


def pad_to_stride(spectrogram: Tensor) -> Tensor:
    """Pad the last two axes with zeros at their ends to multiples of 32: [B, 2, 500, 100] -> [B, 2, 512, 128]"""
    bins, frames = spectrogram.shape[-2:]
    return functional.pad(spectrogram, (0, padded_length(frames) - frames, 0, padded_length(bins) - bins))


class ContiguousReLU(torch.autograd.Function):
    """ReLU of a strided tensor, written contiguously: one pass through memory, where ReLU and a copy take two."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, features: Tensor) -> Tensor:
        context.strides = features.stride()
        positive = torch.empty(features.shape, dtype=features.dtype, device=features.device)
        torch.clamp(features, min=0, out=positive)
        context.save_for_backward(positive)
        return positive

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (positive,) = context.saved_tensors
        # with the strides of the input, so that autograd does not copy it
        back = torch.empty_strided(gradient.shape, context.strides, dtype=gradient.dtype, device=gradient.device)
        return torch.ops.aten.threshold_backward.grad_input(gradient, positive, 0, grad_input=back)


class DownConv(nn.Conv2d):
    """``nn.Conv2d`` with kernel 2 and stride 2: [B, inputs, F, T] -> [B, outputs, F / 2, T / 2].

    Its patches do not overlap, so it is computed as one matrix product: the same function with the same
    parameters, and a cheaper gradient. With ``relu``, ReLU is applied to the input while the patches are copied.
    """

    def __init__(self, inputs: int, outputs: int, *, relu: bool = False) -> None:
        super().__init__(inputs, outputs, kernel_size=2, stride=2)
        self.relu = relu

    def reset_parameters(self) -> None:
        """Initialise as He et al. (2015): the variance is kept through ReLU layers."""
        nn.init.normal_(self.weight, std=math.sqrt(2 / (4 * self.in_channels)))
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        pixels = features.permute(0, 2, 3, 1)  # [B, F, T, C], contiguous in channels-last memory
        pairs = pixels.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # [B, F / 2, 2, T / 2, 2, C]
        patches = pairs.transpose(2, 3)  # [B, F / 2, T / 2, 2, 2, C]
        patches = (ContiguousReLU.apply(patches) if self.relu else patches).flatten(3)  # [B, F / 2, T / 2, 4 C]
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # [outputs, 4 C]
        return functional.linear(patches, weight, self.bias).permute(0, 3, 1, 2)


def up_conv(features: Tensor, weight: Tensor, bias: Tensor, *, relu: bool = False) -> Tensor:
    """Transposed convolution with kernel 2 and stride 2 as one matrix product: [B, C, F, T] -> [B, outputs, 2 F, 2 T]

    ``weight`` is [C, outputs, 2, 2], ``bias`` [outputs]. With ``relu``, ReLU is applied while the patches are copied.
    """
    pixels = features.permute(0, 2, 3, 1)  # [B, F, T, C], contiguous in channels-last memory
    flat = weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4 outputs, C]
    patches = functional.linear(pixels, flat, bias.repeat(4))  # [B, F, T, 4 outputs]
    pairs = patches.unflatten(3, (2, 2, -1)).transpose(2, 3)  # [B, F, 2, T, 2, outputs]
    pairs = ContiguousReLU.apply(pairs) if relu else pairs
    return pairs.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class UpConv(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` with kernel 2 and stride 2, optionally followed by ReLU, computed by ``up_conv``."""

    def __init__(self, inputs: int, outputs: int, *, relu: bool = False) -> None:
        super().__init__(inputs, outputs, kernel_size=2, stride=2)
        self.relu = relu

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=math.sqrt(2 / self.in_channels))
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        return up_conv(features, self.weight, self.bias, relu=self.relu)


class Head(UpConv):
    """Last layer of one channel: [B, 64, F / 2, T / 2] -> [B, 1, F, T], activated in float32."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__(WIDTHS[0], 1)
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        return self.activation(super().forward(features).float())


class Encoder(nn.Module):
    """Convolutions and a linear layer: [B, 2, F, T] -> ``Posterior`` of [B, D]."""

    def __init__(self, *, bins: int, frames: int, latent_dim: int, dropout: float) -> None:
        super().__init__()
        first, *others = pairwise((CHANNELS, *WIDTHS))
        # ReLU between the layers; none after the last, so that the latents are linear in it
        self.layers = nn.Sequential(DownConv(*first), *(DownConv(a, b, relu=True) for a, b in others))
        self.dropout = nn.Dropout(dropout)
        self.latent = nn.Linear(WIDTHS[-1] * (bins // STRIDE) * (frames // STRIDE), 2 * latent_dim)

    def forward(self, spectrogram: Tensor) -> Posterior:
        features = self.layers(spectrogram)  # [B, C, F / 32, T / 32]
        mean, logvar = self.latent(self.dropout(features.flatten(1))).float().chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(*LOGVAR_RANGE))


class Decoder(nn.Module):
    """Linear layer, transposed convolutions and two heads: [B, D] -> [B, 2, F, T]."""

    def __init__(self, *, bins: int, frames: int, latent_dim: int, dropout: float) -> None:
        super().__init__()
        widths = WIDTHS[::-1]
        self.shape = (widths[0], bins // STRIDE, frames // STRIDE)
        self.latent = nn.Linear(latent_dim, math.prod(self.shape))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(*(UpConv(a, b, relu=True) for a, b in pairwise(widths)))
        self.magnitude_head = Head(nn.Softplus(beta=SOFTPLUS_BETA))
        self.frequency_head = Head(nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        features = self.dropout(self.latent(latent)).unflatten(1, self.shape)  # [B, C, F / 32, T / 32]
        features = self.layers(features.contiguous(memory_format=torch.channels_last))  # [B, 64, F / 2, T / 2]
        return self.apply_heads(features)

    def apply_heads(self, features: Tensor) -> Tensor:
        """Outputs of both heads, by one matrix product, as reading the features dominates its cost  [B, 2, F, T]"""
        heads = (self.magnitude_head, self.frequency_head)
        weight = torch.cat([head.weight for head in heads], dim=1)  # [64, 2, 2, 2]
        raw = up_conv(features, weight, torch.cat([head.bias for head in heads])).float().split(1, dim=1)
        return torch.cat([head.activation(channel) for head, channel in zip(heads, raw, strict=True)], dim=1)


class VAE(nn.Module):
    """Variational autoencoder of two-channel spectrograms (Kingma and Welling 2014).

    Args:
        bins, frames: F and T, multiples of 32; otherwise ``ValueError``
        latent_dim: D, at least 1; otherwise ``ValueError``
        dropout: probability of dropping a feature on either side of the latents in training, in [0, 1)
    """

    def __init__(self, *, bins: int, frames: int, latent_dim: int = 128, dropout: float = 0.0) -> None:
        super().__init__()
        if bins % STRIDE or frames % STRIDE:
            raise ValueError(f"bins and frames must be multiples of {STRIDE}: found {bins} and {frames}")
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1: found {latent_dim}")
        self.size, self.latent_dim = (bins, frames), latent_dim
        self.encoder = Encoder(bins=bins, frames=frames, latent_dim=latent_dim, dropout=dropout)
        self.decoder = Decoder(bins=bins, frames=frames, latent_dim=latent_dim, dropout=dropout)
        # up to twice as fast with the channels innermost
        self.to(memory_format=torch.channels_last)

    def encode(self, spectrogram: Tensor) -> Posterior:
        """[B, 2, F, T] -> posterior over the latents [B, D]; ``ValueError`` if F or T differ from the model's."""
        if tuple(spectrogram.shape[1:]) != (CHANNELS, *self.size):
            raise ValueError(
                f"expected [B, {CHANNELS}, {self.size[0]}, {self.size[1]}], found {list(spectrogram.shape)}; "
                "pad_to_stride pads to multiples of 32"
            )
        return self.encoder(spectrogram.contiguous(memory_format=torch.channels_last))

    def decode(self, latent: Tensor) -> Tensor:
        """Latents [B, D] -> spectrograms [B, 2, F, T]."""
        return self.decoder(latent)

    def forward(
        self, spectrogram: Tensor, noise: Tensor | None = None, kept: Tensor | None = None
    ) -> tuple[Tensor, Posterior]:
        """Reconstruct [B, 2, F, T] from a sample of the posterior, given standard normal noise [B, D], or its mean.

        Latents where ``kept`` [B, D] is 0 are set to 0.
        """
        posterior = self.encode(spectrogram)
        latent = posterior.mean if noise is None else posterior.sample(noise)
        return self.decode(latent if kept is None else latent * kept), posterior
