"""The start from a base model: equal to it where all components are kept, its projection where fewer are."""

import pytest
import torch
from torch.nn import functional

from vae2ch.initial_weights.base import (
    average_variance,
    collection_rotation,
    features_of,
    initialise_from_base,
    initialise_from_first_latents,
)
from vae2ch.model import VAE

SIZE = {"bins": 64, "frames": 64}
BASE_DIM, COUNT = 12, 60
VARIANCE = torch.linspace(0.01, 0.9, BASE_DIM)


@pytest.fixture
def base():
    torch.manual_seed(0)
    made = VAE(**SIZE, latent_dim=BASE_DIM).eval()
    with torch.no_grad():
        made.encoder.latent.weight *= 20  # latents that vary
        made.encoder.latent.weight[BASE_DIM:] = 0
        made.encoder.latent.bias[BASE_DIM:] = VARIANCE.log()
    return made


@pytest.fixture
def spectrograms():
    torch.manual_seed(1)
    return torch.rand(COUNT, 2, 64, 64)


def started(base, spectrograms, dim, core=None):
    vae = VAE(**SIZE, latent_dim=dim).eval()
    with torch.no_grad():
        initialise_from_base(vae, base, features_of(base, spectrograms), core=core)
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
@pytest.mark.parametrize("dim", [3, 5, 8, BASE_DIM])
def test_the_core_is_kept_before_the_other_latents(dim, base, spectrograms):
    """Of a core of five: up to it the others are 0, as the base was trained; beyond it all five are kept."""
    latents = base.encode(spectrograms).mean
    scale = (1 / VARIANCE - 1).sqrt()

    def projected(part, count):
        mean, scaled = latents[:, part].mean(dim=0), (latents[:, part] - latents[:, part].mean(dim=0)) * scale[part]
        _, _, rows = torch.linalg.svd(scaled, full_matrices=False)
        return mean + scaled @ rows[:count].T @ rows[:count] / scale[part]

    expected = torch.zeros_like(latents)
    expected[:, :5] = projected(slice(0, 5), min(dim, 5))
    if dim > 5:
        expected[:, 5:] = projected(slice(5, None), dim - 5)
    vae = started(base, spectrograms, dim, core=5)
    assert torch.allclose(vae.decode(vae.encode(spectrograms).mean), base.decode(expected), atol=2e-4)


@torch.no_grad()
@pytest.mark.parametrize("dim", [1, 5, BASE_DIM])
def test_the_first_latents_are_copied_and_the_others_are_zero(dim, base, spectrograms):
    vae = VAE(**SIZE, latent_dim=dim).eval()
    initialise_from_first_latents(vae, base)
    found, expected = vae.encode(spectrograms), base.encode(spectrograms)
    torch.testing.assert_close(found.mean, expected.mean[:, :dim], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.logvar, expected.logvar[:, :dim], rtol=1e-4, atol=1e-4)
    kept = (torch.arange(BASE_DIM) < dim).float()
    torch.testing.assert_close(vae.decode(found.mean), base.decode(expected.mean * kept), rtol=1e-4, atol=1e-4)


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


@torch.no_grad()
@pytest.mark.parametrize("ratio", [0.25, 4.0])
def test_a_larger_weight_of_the_kl_allows_more_noise_in_the_latents(ratio):
    torch.manual_seed(0)
    latents = torch.randn(500, 3) * torch.tensor([2.0, 1.0, 0.5])
    variance = torch.tensor([0.1, 0.2, 0.3])
    rotation = collection_rotation(latents, variance, 3, ratio)
    noise = rotation.backward @ torch.diag(rotation.variance) @ rotation.backward.T
    assert torch.allclose(noise.diag(), ratio * variance / (1 - variance), rtol=1e-3)


@torch.no_grad()
def test_further_latents_encode_components_of_what_the_base_does_not_read(base, spectrograms):
    features = features_of(base, spectrograms)
    weight = base.encoder.latent.weight[:BASE_DIM]
    unread = features - features @ torch.linalg.pinv(weight) @ weight
    _, _, directions = torch.linalg.svd(unread - unread.mean(dim=0), full_matrices=False)
    expected = (unread - unread.mean(dim=0)) @ directions[:5].T
    found = started(base, spectrograms, BASE_DIM + 5).encode(spectrograms)
    further = found.mean[:, BASE_DIM:]
    assert torch.allclose(further.var(dim=0, correction=0) + found.logvar[0, BASE_DIM:].exp(), torch.ones(5), atol=1e-3)
    similarity = (functional.normalize(expected, dim=0) * functional.normalize(further, dim=0)).sum(dim=0).abs()
    assert torch.allclose(similarity, torch.ones(5), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("count", [2, BASE_DIM - 1, BASE_DIM + 1, COUNT])
@pytest.mark.parametrize("dim", [BASE_DIM + 3, 4 * COUNT])
def test_latents_of_other_sounds_have_the_size_of_the_prior(count, dim, base, spectrograms):
    """Also where there are more latents than sounds, so that some have nothing to encode."""
    torch.manual_seed(2)
    posterior = started(base, spectrograms[:count], dim).encode(torch.rand(COUNT, 2, 64, 64))
    assert posterior.mean[:, BASE_DIM:].square().mean().sqrt() < 3


@torch.no_grad()
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_sounds_that_are_all_alike_are_no_error(level, base):
    alike = torch.full((4, 2, 64, 64), level)
    vae = started(base, alike, BASE_DIM + 3)
    made, posterior = vae(alike)
    assert torch.isfinite(posterior.mean).all()
    assert torch.allclose(made, base(alike)[0], atol=2e-4)


def test_all_parameters_can_be_trained(base, spectrograms):
    vae = started(base, spectrograms, BASE_DIM + 3).train()
    noise = torch.randn(COUNT, BASE_DIM + 3)
    output, posterior = vae(spectrograms, noise)
    (output.square().mean() + posterior.logvar.mean() + posterior.mean.square().mean()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in vae.parameters())


@torch.no_grad()
def test_the_average_variance_is_the_harmonic_mean(base, spectrograms):
    base.encoder.latent.weight[BASE_DIM:] = torch.randn_like(base.encoder.latent.weight[BASE_DIM:]) / 50
    expected = 1 / (-base.encode(spectrograms).logvar).exp().mean(dim=0)
    assert torch.allclose(average_variance(base, features_of(base, spectrograms)), expected, rtol=1e-4)
