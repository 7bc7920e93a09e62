import copy

import numpy as np
import pytest
import torch
from torch import nn

from vae2ch.initial_weights.pca import initialise_from_pca
from vae2ch.metrics import snr
from vae2ch.model import VAE, pad_to_stride

SIZE = (64, 64)


def log_magnitudes(count=40, rank=6, size=SIZE):
    """Sums of a few patterns, with random weights  [N, F, T]"""
    weight = torch.rand(count, rank) * torch.linspace(1, 0.3, rank)
    return (weight @ torch.rand(rank, size[0] * size[1])).unflatten(1, size)


def initialised(log_magnitude, kl_weight=1e-9, latent_dim=4):
    """A VAE of the padded size, initialised from the padded log magnitudes."""
    padded = pad_to_stride(log_magnitude)
    vae = VAE(bins=padded.shape[1], frames=padded.shape[2], latent_dim=latent_dim).eval()
    initialise_from_pca(vae, padded, kl_weight, log_magnitude[0].numel())
    return vae


def spectrograms(log_magnitude):
    """With noise in channel 1, padded  [N, 2, F, T]"""
    return pad_to_stride(torch.stack([log_magnitude, torch.rand_like(log_magnitude) * 2 - 1], dim=1))


@torch.no_grad()
def without_softplus(vae, log_magnitude):
    """Reconstructed log magnitude before the activation of the magnitude head, without the padding  [N, F, T]"""
    linear = copy.deepcopy(vae)
    linear.decoder.magnitude_head.activation = nn.Identity()
    _, bins, frames = log_magnitude.shape
    return linear(spectrograms(log_magnitude))[0][:, 0, :bins, :frames]


@pytest.mark.parametrize("size", [(64, 64), (50, 40)])
def test_the_linear_part_computes_the_pca_of_whole_spectrograms(size):
    log_magnitude = log_magnitudes(size=size)
    flat = log_magnitude.flatten(1).double().numpy()
    mean = flat.mean(axis=0)
    _, _, directions = np.linalg.svd(flat - mean, full_matrices=False)
    expected = (flat - mean) @ directions[:4].T @ directions[:4] + mean
    found = without_softplus(initialised(log_magnitude), log_magnitude)
    assert snr(torch.from_numpy(expected).flatten(), found.flatten()) > 50
    assert snr(log_magnitude.flatten(), found.flatten()) < 45  # four components of six


def test_the_aggregate_posterior_has_the_moments_of_the_prior():
    log_magnitude = log_magnitudes()
    posterior = initialised(log_magnitude, kl_weight=1e-3).encode(spectrograms(log_magnitude))
    assert posterior.mean.mean(dim=0).abs().max() < 1e-3
    total = posterior.mean.var(dim=0, correction=0) + posterior.logvar.exp()[0]
    assert torch.allclose(total, torch.ones(4), atol=1e-3)


@torch.no_grad()
def test_the_posterior_variance_minimises_the_loss():
    """The expectation of the loss is exact for a decoder that is linear, as this one is before its activation."""
    log_magnitude, kl_weight = log_magnitudes(), 1e-3
    vae = initialised(log_magnitude, kl_weight)
    logvar = vae.encode(spectrograms(log_magnitude)).logvar[0]
    vae.decoder.magnitude_head.activation = nn.Identity()
    outputs = vae.decode(torch.cat([torch.zeros(1, 4), torch.eye(4)]))[:, 0]
    energy = (outputs[1:] - outputs[:1]).square().sum(dim=(1, 2))  # of a unit step of each latent  [D]
    change = torch.linspace(-1, 1, 41)[:, None]
    variance = (logvar + change).exp()  # [41, D]
    loss = energy * variance / log_magnitude[0].numel() + kl_weight * 0.5 * (variance - variance.log())
    assert change[loss.argmin(dim=0)].abs().max() <= 0.05


def test_the_frequency_starts_at_zero_and_all_parameters_can_be_trained():
    log_magnitude = log_magnitudes()
    vae = initialised(log_magnitude)
    output, posterior = vae.train()(spectrograms(log_magnitude))
    assert output[:, 1].abs().max() == 0
    (output[:, 0].square().mean() + (output[:, 1] - 0.3).square().mean() + posterior.logvar.square().mean()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in vae.parameters())
    assert vae.decoder.frequency_head.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "log_magnitude",
    [torch.zeros(3, 64, 32), torch.ones(2, 64, 32), torch.rand(3, 33, 5)],
    ids=["silence", "all equal", "few sounds, odd size"],
)
def test_degenerate_collections_give_finite_parameters(log_magnitude):
    vae = initialised(log_magnitude, latent_dim=50)
    assert all(weight.isfinite().all() for weight in vae.parameters())
    output, posterior = vae(spectrograms(log_magnitude))
    assert output.isfinite().all()
    assert posterior.logvar.isfinite().all()


def test_latents_without_a_component_start_at_the_prior():
    log_magnitude = log_magnitudes(rank=6)
    posterior = initialised(log_magnitude, latent_dim=20).encode(spectrograms(log_magnitude))
    assert posterior.mean[:, 6:].eq(0).all()
    assert posterior.logvar[:, 6:].eq(0).all()
    assert posterior.mean[:, :6].var(dim=0).min() > 0.5
