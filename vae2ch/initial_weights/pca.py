"""Initialise the VAE as the best linear VAE of the training sounds.

The best linear VAE is probabilistic PCA (Tipping and Bishop 1999; Lucas et al. 2019, "Don't blame the ELBO!"). The
network can compute it, up to the final Softplus and the components that its layers cut off, because ReLU is linear on a
pair of opposite inputs, ``relu(x) - relu(-x) = x`` (Balduzzi et al. 2017, "The shattered gradients problem"). In each
layer, pairs of channels compute principal components of the log magnitudes of patches, up to 32 x 32 bins; the linear
layers compute those of the whole spectrogram. The other channels stay random; training learns what is not linear.

Axes: N segments, C channels, F frequency bins, T time frames, L patches, K features, D latents.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from vae2ch.model import VAE

PCA_SEGMENTS = 600  # training segments that the components are computed of, half or more of them augmented
COMPONENT_FRACTION = 0.5  # of a layer's channels; the same number computes the negatives
CHUNK = 64  # segments processed at once, to bound the memory


def patches(features: Tensor) -> Tensor:
    """Patches of 2 x 2 pixels: [N, C, F, T] -> [N, 4 C, L]"""
    return functional.unfold(features, kernel_size=2, stride=2)


def patch_components(features: Tensor, rank: int) -> Tensor:
    """Directions with the most energy in the 2 x 2 patches of [N, C, F, T]  [rank, 4 C]"""
    energy = sum(torch.einsum("nil,njl->ij", part, part) for part in map(patches, features.split(CHUNK)))
    _, directions = torch.linalg.eigh(energy.double())  # ascending
    return directions.flip(1)[:, :rank].T.float()


def project(features: Tensor, components: Tensor) -> Tensor:
    """Coordinates of the patches: [N, C, F, T] -> [N, rank, F / 2, T / 2]"""
    half = (features.shape[2] // 2, features.shape[3] // 2)
    return torch.cat([(components @ patches(part)).unflatten(2, half) for part in features.split(CHUNK)])


def principal_components(features: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """PCA of [N, K], with at most ``count`` components: mean [K], variances [D], unit directions [K, D]."""
    mean = features.mean(dim=0)
    deviations = features - mean
    gram = (deviations @ deviations.T).double() / len(features)  # [N, N], as N is far smaller than K
    variances, weights = torch.linalg.eigh(gram)  # ascending
    kept = min(count, int((variances > 1e-6 * variances[-1].clamp(min=1e-12)).sum()))
    variances, weights = variances.flip(0)[:kept].float(), weights.flip(1)[:, :kept].float()
    return mean, variances, deviations.T @ weights / (variances * len(features)).sqrt()


def with_negatives(rows: Tensor) -> Tensor:
    """Weights of a layer's outputs, followed by those of the negated outputs."""
    return torch.cat([rows, -rows])


@torch.no_grad()
def initialise_from_pca(vae: VAE, log_magnitude: Tensor, kl_weight: float, pixels: int) -> None:
    """Set the weights of ``vae`` to the best linear VAE of log magnitudes [N, F, T], N >= 2, padded to multiples of 32.

    It minimises ``mean squared error + kl_weight * KL``, the mean being over ``pixels`` (without the padding).
    """
    features = log_magnitude[:, None]
    stages = []
    for convolution in vae.encoder.layers:
        fraction = 1 if convolution is vae.encoder.layers[-1] else COMPONENT_FRACTION  # no ReLU after the last
        rank = min(4 * features.shape[1], int(fraction * convolution.out_channels))
        stages.append(patch_components(features, rank))
        features = project(features, stages[-1])
    mean, variances, directions = principal_components(features.flatten(1), vae.latent_dim)
    # 0.5 * kl_weight * pixels is the decoder's noise variance per pixel. A component with less variance costs more
    # KL than it is worth.
    posterior_variance = (0.5 * kl_weight * pixels / variances).clamp(1e-5, 1)
    set_encoder(vae, stages)
    set_decoder(vae, stages)
    set_latent_layers(vae, mean, directions, variances, posterior_variance)


def set_encoder(vae: VAE, stages: list[Tensor]) -> None:
    """Let each layer of the encoder compute the components of its patches, and their negatives before a ReLU."""
    inputs = 1
    for convolution, components in zip(vae.encoder.layers, stages, strict=True):
        rank = len(components)
        weight = torch.zeros(rank, convolution.in_channels, 2, 2)
        weight[:, :inputs] = components.reshape(rank, -1, 2, 2)[:, :inputs]
        if inputs > 1:  # the first layer's input is the magnitude; others get pairs
            weight[:, inputs : 2 * inputs] = -weight[:, :inputs]
        rows = weight if convolution is vae.encoder.layers[-1] else with_negatives(weight)
        convolution.weight[: len(rows)] = rows.to(convolution.weight)
        inputs = rank


def set_decoder(vae: VAE, stages: list[Tensor]) -> None:
    """Let each layer of the decoder assemble patches from components; the frequency starts at 0."""
    decoder = vae.decoder
    for convolution, (components, finer) in zip(decoder.layers, pairwise(stages[::-1]), strict=True):
        weight = torch.zeros(convolution.in_channels, len(finer), 2, 2)
        weight[: len(components)] = components.reshape(len(components), -1, 2, 2)
        if convolution is not decoder.layers[0]:  # whose input comes without negatives
            weight[len(components) : 2 * len(components)] = -weight[: len(components)]
        convolution.weight[:, : 2 * len(finer)] = torch.cat([weight, -weight], dim=1).to(convolution.weight)
    last = with_negatives(stages[0].reshape(-1, 1, 2, 2))  # [8, 1, 2, 2] at most
    decoder.frequency_head.weight.zero_()
    decoder.magnitude_head.weight.zero_()
    decoder.magnitude_head.weight[: len(last)] = last.to(decoder.magnitude_head.weight)


def set_latent_layers(
    vae: VAE, mean: Tensor, directions: Tensor, variances: Tensor, posterior_variance: Tensor
) -> None:
    """Set the linear layers on both sides of the latents; latents without a component start at the prior.

    ``mean`` [K] is that of the features, ``directions`` [K, D] and ``variances`` [D] are those of the components.
    """
    count, dim = len(variances), vae.latent_dim
    channels, rows, columns = vae.decoder.shape
    rank, places = len(mean) // (rows * columns), rows * columns
    encode, decode = vae.encoder.latent, vae.decoder.latent
    encoder_weight = directions.T * ((1 - posterior_variance) / variances).sqrt()[:, None]  # [D, K]
    encode.weight.zero_()
    encode.weight.unflatten(1, (channels, places))[:count, :rank] = encoder_weight.reshape(count, rank, places).to(
        encode.weight
    )
    encode.bias.zero_()
    encode.bias[:count] = (-encoder_weight @ mean).to(encode.bias)
    encode.bias[dim : dim + count] = posterior_variance.log().to(encode.bias)
    decoder_weight = directions * (variances * (1 - posterior_variance)).sqrt()  # [K, D]
    weight = decode.weight.unflatten(0, (channels, places))  # a view: [channels, places, D]
    weight[:rank] = 0
    weight[:rank, :, :count] = decoder_weight.reshape(rank, places, count).to(weight)
    decode.bias.zero_()
    decode.bias.unflatten(0, (channels, places))[:rank] = mean.reshape(rank, places).to(weight)
