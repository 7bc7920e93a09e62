"""The start from a base model: equal to it where all components are kept, its projection where fewer are."""

import pytest
import torch

from vae2ch.initial_weights.base import average_variance, collection_rotation, features_of, initialise_from_base
from vae2ch.model import VAE

SIZE = {"bins": 64, "frames": 64}
BASE_DIM, COUNT = 12, 60


@pytest.fixture
def base():
    torch.manual_seed(0)
    made = VAE(**SIZE, latent_dim=BASE_DIM).eval()
    with torch.no_grad():
        made.encoder.latent.weight *= 20  # latents that vary
    return made


@pytest.fixture
def spectrograms():
    torch.manual_seed(1)
    return torch.rand(COUNT, 2, 64, 64)


VARIANCE = torch.linspace(0.01, 0.9, BASE_DIM)


def started(base, spectrograms, dim):
    vae = VAE(**SIZE, latent_dim=dim).eval()
    with torch.no_grad():
        initialise_from_base(vae, base, VARIANCE, features_of(base, spectrograms))
    return vae


@torch.no_grad()
@pytest.mark.parametrize("dim", [BASE_DIM, BASE_DIM + 5, 300])
def test_with_all_components_it_is_the_base(base, spectrograms, dim):
    expected = base.decode(base.encode(spectrograms).mean)
    vae = started(base, spectrograms, dim)
    found = vae.decode(vae.encode(spectrograms).mean)
    assert torch.allclose(found, expected, atol=2e-4)


@torch.no_grad()
@pytest.mark.parametrize("dim", [1, 4, 11])
def test_with_fewer_it_is_the_best_projection_of_the_scaled_latents(base, spectrograms, dim):
    latents = base.encode(spectrograms).mean
    scale = (1 / VARIANCE - 1).sqrt()
    mean = latents.mean(dim=0)
    _, _, rows = torch.linalg.svd((latents - mean) * scale, full_matrices=False)
    projected = mean + ((latents - mean) * scale) @ rows[:dim].T @ rows[:dim] / scale
    vae = started(base, spectrograms, dim)
    found = vae.decode(vae.encode(spectrograms).mean)
    assert torch.allclose(found, base.decode(projected), atol=2e-4)


@torch.no_grad()
def test_the_aggregate_posterior_has_the_moments_of_the_prior(base, spectrograms):
    posterior = started(base, spectrograms, 8).encode(spectrograms)
    total = posterior.mean.var(dim=0, correction=0) + posterior.logvar.exp()[0]
    assert torch.allclose(total, torch.ones(8), atol=1e-3)
    assert posterior.mean.mean(dim=0).abs().max() < 1e-3


def test_noise_of_the_posterior_is_that_of_the_base():
    """Of a latent that the collection does not vary in, and of one that it does: as much as the base allows."""
    torch.manual_seed(0)
    latents = torch.randn(500, 3) * torch.tensor([2.0, 1.0, 0.0])
    variance = torch.tensor([0.1, 0.2, 0.3])
    rotation = collection_rotation(latents, variance, 3, ratio=1.0)
    noise = rotation.backward @ torch.diag(rotation.variance) @ rotation.backward.T
    # that of the optimum with a wider prior: v / (1 - v)
    assert torch.allclose(noise.diag(), variance / (1 - variance), rtol=1e-3)


def test_all_parameters_can_be_trained(base, spectrograms):
    vae = started(base, spectrograms, BASE_DIM + 3).train()
    noise = torch.randn(COUNT, BASE_DIM + 3)
    output, posterior = vae(spectrograms, noise)
    (output.square().mean() + posterior.logvar.mean() + posterior.mean.square().mean()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in vae.parameters())


@torch.no_grad()
def test_the_average_variance_is_the_harmonic_mean(base, spectrograms):
    expected = 1 / (-base.encode(spectrograms).logvar).exp().mean(dim=0)
    assert torch.allclose(average_variance(base, features_of(base, spectrograms)), expected, rtol=1e-4)
