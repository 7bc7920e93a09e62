"""Changes of the network and of its training to try with ``vae2ch.bench.compare``.

The first three patches keep what the network computes at the start: new weights are zero where they are read. The
others change what it gets in training, never in validation.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from torch import Tensor, nn
from torch.nn import functional

from vae2ch.model import STRIDE, VAE, DownConv, UpConv

BAND = 0.125  # of the axis, the widest band that is masked
DROPPED = 0.1  # probability that a patch or a latent is set to 0
AVERAGE_DECAY = 0.99  # of averaged weights, at each step
Layer = TypeVar("Layer", bound=nn.Linear | DownConv | UpConv)
Change = Callable[[Tensor], Tensor]
CONV_4X4 = {"kernel_size": 4, "stride": 2, "padding": 1}


class Residual(nn.Module):
    """A convolution of 3 x 3 and one of 1 x 1, added to the input; the second is zero at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, channels, 3, padding=1)
        self.outer = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.outer(functional.relu(self.inner(functional.relu(features))))


class Overlapping(nn.Module):
    """A layer with kernels of 4 x 4 in place of 2 x 2, which sit in their middle."""

    def __init__(self, layer: DownConv | UpConv) -> None:
        super().__init__()
        down = isinstance(layer, DownConv)
        self.conv = (nn.Conv2d if down else nn.ConvTranspose2d)(layer.in_channels, layer.out_channels, **CONV_4X4)
        nn.init.zeros_(self.conv.weight)
        self.conv.weight.data[..., 1:3, 1:3] = layer.weight.data
        self.conv.bias.data[:] = layer.bias.data
        self.relu_before, self.relu_after = (layer.relu and down), (layer.relu and not down)

    def forward(self, features: Tensor) -> Tensor:
        features = self.conv(functional.relu(features) if self.relu_before else features)
        return functional.relu(features) if self.relu_after else features


def kernels_4x4(vae: VAE) -> None:
    """Give all layers but the heads overlapping kernels of 4 x 4."""
    for side in (vae.encoder, vae.decoder):
        side.layers = nn.Sequential(*map(Overlapping, side.layers))


def residual(vae: VAE) -> None:
    """Add a residual layer at 1/32 of the size on both sides of the latents."""
    channels = vae.decoder.shape[0]
    vae.encoder.layers.append(Residual(channels))
    vae.decoder.layers.insert(0, Residual(channels))


def fifth_1024(vae: VAE) -> None:
    """Give the fifth layer twice the channels."""
    encoder, decoder = vae.encoder, vae.decoder
    channels, *size = decoder.shape
    decoder.shape = (2 * channels, *size)
    features = math.prod(decoder.shape)
    last, first = encoder.layers[-1], decoder.layers[0]
    encoder.layers[-1] = widened(last, DownConv(last.in_channels, 2 * channels, relu=True))
    decoder.layers[0] = widened(first, UpConv(2 * channels, first.out_channels, relu=True))
    encoder.latent = widened(encoder.latent, nn.Linear(features, encoder.latent.out_features))
    decoder.latent = widened(decoder.latent, nn.Linear(vae.latent_dim, features))


def widened(layer: Layer, wide: Layer) -> Layer:
    """Give a wider layer the weights of another: new inputs are not read yet, new outputs stay as they are."""
    outputs_first = not isinstance(layer, nn.ConvTranspose2d)
    new, old = (part.weight.data if outputs_first else part.weight.data.transpose(0, 1) for part in (wide, layer))
    rows, columns = old.shape[:2]
    new[:rows, :columns], new[:rows, columns:] = old, 0
    wide.bias.data[:rows] = layer.bias.data
    return wide


def mask_bands(vae: VAE) -> None:
    """Set a band of bins and one of frames of each input to 0 (Park et al. 2019, "SpecAugment")."""

    def masked(spectrogram: Tensor) -> Tensor:
        for axis in (2, 3):
            length = spectrogram.shape[axis]
            width = torch.rand(len(spectrogram), 1) * BAND * length
            begin = torch.rand(len(spectrogram), 1) * (length - width)
            place = torch.arange(length)
            kept = ~((place >= begin) & (place < begin + width))
            spectrogram = spectrogram * kept[:, None, :, None].movedim(2, axis).to(spectrogram)
        return spectrogram

    in_training(vae.encoder, masked)


def mask_patches(vae: VAE) -> None:
    """Set patches of each input to 0, each of which is one place of the last convolution."""

    def masked(spectrogram: Tensor) -> Tensor:
        count, _, bins, frames = spectrogram.shape
        kept = torch.rand(count, 1, bins // STRIDE, frames // STRIDE) >= DROPPED
        return spectrogram * kept.repeat_interleave(STRIDE, 2).repeat_interleave(STRIDE, 3).to(spectrogram)

    in_training(vae.encoder, masked)


def drop_latents(vae: VAE) -> None:
    """Set latents to 0."""
    in_training(vae.decoder, lambda latent: latent * (torch.rand(latent.shape) >= DROPPED).to(latent))


def in_training(layer: nn.Module, change: Change) -> None:
    """Change the input of a layer in training."""
    layer.register_forward_pre_hook(lambda module, inputs: (change(inputs[0]),) if module.training else None)


PATCHES = {
    patch.__name__: patch for patch in (kernels_4x4, residual, fifth_1024, mask_bands, mask_patches, drop_latents)
}
CALLBACKS: dict[str, Callable[[], Callback]] = {
    "averaged_weights": lambda: EMAWeightAveraging(decay=AVERAGE_DECAY, use_buffers=False)
}
