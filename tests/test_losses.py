import math

import torch
from torch.distributions import Normal, kl_divergence

from vae2ch import losses


def test_magnitude_error_of_known_values():
    assert losses.magnitude_error(torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[0.0, 1.0]]])) == 2.5


def test_amplitude_error_is_the_square_of_spectral_convergence():
    torch.manual_seed(0)
    made, true = 1e4 * torch.rand(2, 3, 8, 8)
    predicted, target = (losses.amplitude(torch.log1p(amplitude) / 2) for amplitude in (made, true))
    convergence = torch.linalg.matrix_norm(made - true) / torch.linalg.matrix_norm(true)
    assert torch.allclose(target, true, rtol=1e-3)
    assert torch.allclose(losses.amplitude_error(predicted, target), convergence**2, rtol=1e-3)
    assert losses.amplitude_error(target, target).eq(0).all()


def test_amplitude_error_stays_finite():
    """Whatever an untrained decoder makes, and of silence too."""
    silence = torch.zeros(1, 4, 4)
    wild = torch.full((1, 4, 4), 1e4, requires_grad=True)
    error = losses.amplitude_error(losses.amplitude(wild), losses.amplitude(silence))
    error.sum().backward()
    assert torch.isfinite(error).all()
    assert torch.isfinite(wild.grad).all()
    assert losses.amplitude_error(losses.amplitude(silence), losses.amplitude(silence)) == 0


def test_frequency_error_is_circular():
    ones = torch.ones(1, 4, 4)
    assert losses.frequency_error(-ones, ones, ones).abs() < 1e-6
    assert torch.isclose(losses.frequency_error(0 * ones, ones, ones), torch.tensor(2.0))
    assert torch.isclose(losses.frequency_error(0.5 * ones, 0 * ones, ones), torch.tensor(1.0))
    # near the wrap, a small step over it is a small error
    assert losses.frequency_error(0.99 * ones, -0.99 * ones, ones) < 1 - math.cos(0.03 * math.pi)


def test_frequency_error_counts_only_where_there_is_energy():
    target, magnitude = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    noise = torch.tensor([[[0.0, 0.0], [0.7, -0.3]]])
    assert losses.frequency_error(noise, target, magnitude) == 0
    assert losses.frequency_error(noise, target, 0 * magnitude) == 0  # silence is no NaN
    once = losses.frequency_error(noise.flip(1), target, magnitude)
    assert torch.isclose(once, losses.frequency_error(noise.flip(1), target, 5 * magnitude))


def test_kl_against_torch_distributions():
    mean, logvar = torch.randn(64, 7), torch.randn(64, 7)
    expected = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0, 1)).mean(dim=0)
    assert torch.allclose(losses.kl_divergence(mean, logvar), expected, atol=1e-5)


def test_free_bits_leave_small_latents_alone():
    kl = torch.tensor([0.02, 0.5], requires_grad=True)
    cost = losses.free_bits(kl, 0.1)
    cost.backward()
    assert torch.isclose(cost, torch.tensor(0.4))
    assert kl.grad.tolist() == [0.0, 1.0]
