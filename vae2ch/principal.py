"""Where training starts: at the linear VAE that is best for the sounds, instead of at random weights.

The best linear VAE is known in closed form. It is probabilistic PCA (Tipping and Bishop 1999;
Lucas et al. 2019, "Don't blame the ELBO!"). The network can be made to compute it exactly, but for
the Softplus at its end: ReLU is linear on a pair of opposite inputs, ``relu(x) - relu(-x) = x`` (the
looks-linear initialisation of Balduzzi et al. 2017, "The shattered gradients problem"). So in every
layer some channels are set in pairs to carry principal components of the magnitudes, from patches of
2 x 2 bins up to patches of 32 x 32, and the linear layers to those of the whole picture. The other
channels stay random; from them the frequency head, and all that is not linear, is learnt.

Axes: N sounds, C channels, F frequency bins, T time frames, L pixels, D latents.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from vae2ch.model import VAE, pad_to_stride

PAIRED = 0.5  # share of a layer's channels that carry components; as many more carry their opposites
BLOCK = 64  # sounds at once, to bound the memory


def patches(features: Tensor) -> Tensor:
    """Patches of 2 x 2 pixels: [N, C, F, T] -> [N, 4 C, L]"""
    return functional.unfold(features, kernel_size=2, stride=2)


def patch_components(features: Tensor, rank: int) -> Tensor:
    """Directions that hold most of the energy of the 2 x 2 patches of [N, C, F, T]  [rank, 4 C]"""
    energy = sum(torch.einsum("nil,njl->ij", part, part) for part in map(patches, features.split(BLOCK)))
    _, directions = torch.linalg.eigh(energy.double())  # ascending
    return directions.flip(1)[:, :rank].T.float()


def project(features: Tensor, components: Tensor) -> Tensor:
    """Coordinates of the patches: [N, C, F, T] -> [N, rank, F / 2, T / 2]"""
    half = (features.shape[2] // 2, features.shape[3] // 2)
    return torch.cat([(components @ patches(part)).unflatten(2, half) for part in features.split(BLOCK)])


def picture_components(features: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components of whole pictures [N, K], at most ``count``.

    Returns:
        mean [K], variances [D], directions [K, D] of length 1
    """
    mean = features.mean(dim=0)
    deviations = features - mean
    gram = (deviations @ deviations.T).double() / len(features)  # [N, N]: far fewer sounds than pixels
    variances, weights = torch.linalg.eigh(gram)  # ascending
    kept = min(count, int((variances > 1e-6 * variances[-1].clamp(min=1e-12)).sum()))
    variances, weights = variances.flip(0)[:kept].float(), weights.flip(1)[:, :kept].float()
    return mean, variances, deviations.T @ weights / (variances * len(features)).sqrt()


def paired(rows: Tensor) -> Tensor:
    """Rows that give a layer's output, and below them their opposites."""
    return torch.cat([rows, -rows])


@torch.no_grad()
def start(vae: VAE, magnitude: Tensor, kl_weight: float) -> None:
    """Set the weights of ``vae`` to the linear VAE that is best for some magnitudes.

    Args:
        vae: as it was built
        magnitude: channel 0 of some training spectrograms, padded or not  [N, F, T], N >= 2
        kl_weight: of the loss ``mean squared error + kl_weight * KL``, which the optimum depends on
    """
    pixels = math.prod(vae.size)  # that the loss looks at: without the padding
    features = pad_to_stride(magnitude[:, None])
    stages = []
    for convolution in vae.encoder.layers:
        share = 1 if convolution is vae.encoder.layers[-1] else PAIRED  # no ReLU comes after the last
        rank = min(4 * features.shape[1], int(share * convolution.out_channels))
        stages.append(patch_components(features, rank))
        features = project(features, stages[-1])
    mean, variances, directions = picture_components(features.flatten(1), vae.latent_dim)
    # the loss is the likelihood of a decoder with this variance at each pixel; where a component has
    # less, telling it costs more than it saves
    noise = (0.5 * kl_weight * pixels / variances).clamp(1e-5, 1)
    set_encoder(vae, stages)
    set_decoder(vae, stages)
    set_latents(vae, mean, directions, variances, noise)
    # the other channels, which stay random, about as loud as these
    loudness = features.var(dim=0).mean().sqrt().clamp(min=1e-3)
    rank = features.shape[1]
    vae.decoder.latent.weight.unflatten(0, (vae.decoder.shape[0], -1))[rank:].normal_(0, loudness / vae.latent_dim**0.5)


def set_encoder(vae: VAE, stages: list[Tensor]) -> None:
    """Every layer of the encoder computes the components of its patches, and before a ReLU their opposites."""
    inputs = 1
    for convolution, components in zip(vae.encoder.layers, stages, strict=True):
        rank = len(components)
        weight = torch.zeros(rank, convolution.in_channels, 2, 2)
        weight[:, :inputs] = components.reshape(rank, -1, 2, 2)[:, :inputs]
        if inputs > 1:  # the first layer sees the magnitudes, the others pairs
            weight[:, inputs : 2 * inputs] = -weight[:, :inputs]
        rows = weight if convolution is vae.encoder.layers[-1] else paired(weight)
        convolution.weight[: len(rows)] = rows.to(convolution.weight)
        inputs = rank


def set_decoder(vae: VAE, stages: list[Tensor]) -> None:
    """Every layer of the decoder puts patches together from components; the frequency starts at 0."""
    for convolution, (components, finer) in zip(vae.decoder.layers, pairwise(stages[::-1]), strict=True):
        weight = torch.zeros(convolution.in_channels, len(finer), 2, 2)
        weight[: len(components)] = components.reshape(len(components), -1, 2, 2)
        if convolution is not vae.decoder.layers[0]:  # which sees the latents' features, that have no opposites
            weight[len(components) : 2 * len(components)] = -weight[: len(components)]
        convolution.weight[:, : 2 * len(finer)] = torch.cat([weight, -weight], dim=1).to(convolution.weight)
    last, heads = paired(stages[0].reshape(-1, 2, 2)), vae.decoder.heads.weight  # [64, 2, 2, 2]
    heads.zero_()
    heads[: len(last), 0] = last.to(heads)


def set_latents(vae: VAE, mean: Tensor, directions: Tensor, variances: Tensor, noise: Tensor) -> None:
    """The linear layers on both sides of the latents; latents without a component start at the prior.

    Args:
        mean: of the features  [K]
        directions: of the components  [K, D]
        variances: of the components  [D]
        noise: the posterior's variances  [D]
    """
    count, dim = len(variances), vae.latent_dim
    channels, rows, columns = vae.decoder.shape
    rank, places = len(mean) // (rows * columns), rows * columns
    into, out = vae.encoder.latent, vae.decoder.latent
    read = directions.T * ((1 - noise) / variances).sqrt()[:, None]  # [D, K]
    into.weight.zero_()
    into.weight.unflatten(1, (channels, places))[:count, :rank] = read.reshape(count, rank, places).to(into.weight)
    into.bias.zero_()
    into.bias[:count] = (-read @ mean).to(into.bias)
    into.bias[dim : dim + count] = noise.log().to(into.bias)
    write = directions * (variances * (1 - noise)).sqrt()  # [K, D]
    weight = out.weight.unflatten(0, (channels, places))  # [channels, places, D], seen through
    weight[:rank] = 0
    weight[:rank, :, :count] = write.reshape(rank, places, count).to(weight)
    out.bias.zero_()
    out.bias.unflatten(0, (channels, places))[:rank] = mean.reshape(rank, places).to(weight)
