"""The VAE: spectrograms [B, 2, F, T] to latents [B, D] and back.

encoder   2 -> 64 -> 128 -> 256 -> 512 -> WIDTHS[4], each layer halving both axes
latent    one vector for both channels, a diagonal Gaussian
decoder   the same widths back; the last layer is the two heads, magnitude and frequency
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 2  # magnitude, instantaneous frequency
WIDTHS = (64, 128, 256, 512, 512)
STRIDE = 2 ** len(WIDTHS)  # 32: how much smaller the encoder makes each axis
SHARPNESS = 8.0  # of the Softplus: all but a straight line from a quarter on
LOGVAR = (-12.0, 8.0)  # keeps exp(logvar) finite; a standard deviation from 0.0025 to 55


class Posterior(NamedTuple):
    """Mean and log variance of the latents  [B, D] each"""

    mean: Tensor
    logvar: Tensor

    def sample(self) -> Tensor:
        """One draw from the posterior, differentiable in its parameters  [B, D]"""
        return self.mean + torch.randn_like(self.mean) * (0.5 * self.logvar).exp()


def pad_to_stride(spectrogram: Tensor) -> Tensor:
    """Fill both last axes with zeros up to the next multiple of 32, at the high and late ends."""
    bins, frames = spectrogram.shape[-2:]
    return functional.pad(spectrogram, (0, -frames % STRIDE, 0, -bins % STRIDE))


class Rectify(torch.autograd.Function):
    """ReLU of a tensor with any strides, written contiguously: one pass through memory where ReLU and copy are two."""

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
        # laid out as the input was, so that it is never copied on its way back
        back = torch.empty_strided(gradient.shape, context.strides, dtype=gradient.dtype, device=gradient.device)
        return torch.ops.aten.threshold_backward.grad_input(gradient, positive, 0, grad_input=back)


class Down(nn.Conv2d):
    """A convolution with kernel and stride 2: [B, inputs, F, T] -> [B, outputs, F / 2, T / 2].

    Its patches do not overlap, so it is computed as one matrix product over them: the same
    function as ``nn.Conv2d``, with the same weights, and a cheaper gradient.

    Args:
        inputs, outputs: channels
        rectify: convolve the ReLU of the input, taken while the patches are laid out
    """

    def __init__(self, inputs: int, outputs: int, *, rectify: bool = False) -> None:
        super().__init__(inputs, outputs, kernel_size=2, stride=2)
        self.rectify = rectify

    def reset_parameters(self) -> None:
        """He et al. (2015): keeps the variance through ReLU layers."""
        nn.init.normal_(self.weight, std=math.sqrt(2 / (4 * self.in_channels)))
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        pixels = features.permute(0, 2, 3, 1)  # [B, F, T, C], as it lies in memory
        pairs = pixels.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # [B, F / 2, 2, T / 2, 2, C]
        patches = pairs.transpose(2, 3)  # [B, F / 2, T / 2, 2, 2, C]
        patches = (Rectify.apply(patches) if self.rectify else patches).flatten(3)  # [B, F / 2, T / 2, 4 C]
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # [outputs, 4 C]
        return functional.linear(patches, weight, self.bias).permute(0, 3, 1, 2)


class Up(nn.ConvTranspose2d):
    """The transposed convolution with kernel and stride 2: [B, inputs, F, T] -> [B, outputs, 2 F, 2 T].

    Like ``Down``, one matrix product; each pixel becomes a patch.

    Args:
        inputs, outputs: channels
        rectify: give its ReLU, taken while the patches are laid out
    """

    def __init__(self, inputs: int, outputs: int, *, rectify: bool = False) -> None:
        super().__init__(inputs, outputs, kernel_size=2, stride=2)
        self.rectify = rectify

    def reset_parameters(self) -> None:
        """He et al. (2015): each output sees one pixel."""
        nn.init.normal_(self.weight, std=math.sqrt(2 / self.in_channels))
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        pixels = features.permute(0, 2, 3, 1)  # [B, F, T, C], as it lies in memory
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [4 outputs, C]
        patches = functional.linear(pixels, weight, self.bias.repeat(4))  # [B, F, T, 4 outputs]
        pairs = patches.unflatten(3, (2, 2, -1)).transpose(2, 3)  # [B, F, 2, T, 2, outputs]
        pairs = Rectify.apply(pairs) if self.rectify else pairs
        return pairs.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class Encoder(nn.Module):
    """[B, 2, F, T] with F and T multiples of 32 -> ``Posterior`` of [B, D]."""

    def __init__(self, *, bins: int, frames: int, latent_dim: int, dropout: float) -> None:
        super().__init__()
        first, *others = pairwise((CHANNELS, *WIDTHS))
        # a ReLU between any two of them; the latents are linear in the last
        self.layers = nn.Sequential(Down(*first), *(Down(a, b, rectify=True) for a, b in others))
        self.dropout = nn.Dropout(dropout)
        self.latent = nn.Linear(WIDTHS[-1] * (bins // STRIDE) * (frames // STRIDE), 2 * latent_dim)

    def forward(self, spectrogram: Tensor) -> Posterior:
        features = self.layers(spectrogram)  # [B, C, F / 32, T / 32]
        mean, logvar = self.latent(self.dropout(features.flatten(1))).float().chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(*LOGVAR))


class Decoder(nn.Module):
    """[B, D] -> [B, 2, F, T], channel 0 >= 0 (Softplus) and channel 1 in [-1, 1] (Tanh)."""

    def __init__(self, *, bins: int, frames: int, latent_dim: int, dropout: float) -> None:
        super().__init__()
        widths = WIDTHS[::-1]
        self.shape = (widths[0], bins // STRIDE, frames // STRIDE)
        self.latent = nn.Linear(latent_dim, widths[0] * self.shape[1] * self.shape[2])
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(*(Up(a, b, rectify=True) for a, b in pairwise(widths)))
        # the magnitude head and the frequency head: in one product, as what they read is large
        self.heads = Up(widths[-1], CHANNELS)

    def forward(self, latent: Tensor) -> Tensor:
        features = self.dropout(self.latent(latent)).unflatten(1, self.shape)  # [B, C, F / 32, T / 32]
        features = self.layers(features.contiguous(memory_format=torch.channels_last))  # [B, 64, F / 2, T / 2]
        return self.within_range(*self.heads(features).split(1, dim=1))

    def within_range(self, magnitude: Tensor, frequency: Tensor) -> Tensor:
        """Heads' outputs [B, 1, F, T] each -> [B, 2, F, T], in float32: steps of bf16, 2^-8, would be heard."""
        magnitude = functional.softplus(magnitude.float(), beta=SHARPNESS)
        return torch.cat([magnitude, torch.tanh(frequency.float())], dim=1)


class VAE(nn.Module):
    """Variational autoencoder of two-channel spectrograms. Kingma and Welling (2014).

    Args:
        bins: F, frequency bins of the spectrograms (any; padded to a multiple of 32 inside)
        frames: T, time frames (likewise)
        latent_dim: D, at least 1
        dropout: share of features dropped on both sides of the latents in training, in [0, 1)
    """

    def __init__(self, *, bins: int, frames: int, latent_dim: int = 128, dropout: float = 0.0) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1: found {latent_dim}")
        self.size, self.latent_dim = (bins, frames), latent_dim
        self.padded = (bins + -bins % STRIDE, frames + -frames % STRIDE)
        shape = {"bins": self.padded[0], "frames": self.padded[1], "latent_dim": latent_dim, "dropout": dropout}
        self.encoder = Encoder(**shape)
        self.decoder = Decoder(**shape)
        # convolutions run up to twice as fast with the channels innermost
        self.to(memory_format=torch.channels_last)

    def encode(self, spectrogram: Tensor) -> Posterior:
        """[B, 2, F, T], padded or not -> posterior over the latents [B, D].

        Raises:
            ValueError: the size is neither the model's nor its padded size
        """
        if tuple(spectrogram.shape[1:]) not in {(CHANNELS, *self.size), (CHANNELS, *self.padded)}:
            raise ValueError(f"expected [B, 2, {self.size[0]}, {self.size[1]}], found {list(spectrogram.shape)}")
        return self.encoder(pad_to_stride(spectrogram).contiguous(memory_format=torch.channels_last))

    def decode(self, latent: Tensor) -> Tensor:
        """Latents [B, D] -> spectrograms [B, 2, F, T], padding cropped."""
        return self.decoder(latent)[..., : self.size[0], : self.size[1]]

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Posterior]:
        """Reconstruct [B, 2, F, T] through a draw from the posterior (its mean in evaluation)."""
        posterior = self.encode(spectrogram)
        latent = posterior.sample() if self.training else posterior.mean
        bins, frames = spectrogram.shape[-2:]
        return self.decoder(latent)[..., :bins, :frames], posterior
