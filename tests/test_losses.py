import math

import torch
from torch.distributions import Normal, kl_divergence

from vae2ch import losses


def test_log_magnitude_error_is_the_mean_squared_error():
    error = losses.log_magnitude_error(
        torch.tensor([[[1.0, 3.0]], [[5.0, 6.0]]]), torch.tensor([[[0.0, 1.0]], [[5.0, 6.0]]])
    )
    assert error.tolist() == [2.5, 0.0]


def test_amplitude_is_the_inverse_of_the_logarithm_and_bounded():
    amplitude = 1e4 * torch.rand(3, 8, 8)
    assert torch.allclose(losses.amplitude(torch.log1p(amplitude) / 2), amplitude, rtol=1e-3)
    limit = losses.amplitude(torch.tensor(losses.MAX_LOG_MAGNITUDE))
    assert losses.amplitude(torch.tensor(1e4)) == limit
    assert torch.isfinite(limit)


def test_squared_spectral_convergence_equals_a_ratio_of_matrix_norms():
    predicted, target = 1e4 * torch.rand(2, 3, 8, 8)
    convergence = torch.linalg.matrix_norm(predicted - target) / torch.linalg.matrix_norm(target)
    assert torch.allclose(losses.squared_spectral_convergence(predicted, target), convergence**2, rtol=1e-3)
    assert losses.squared_spectral_convergence(target, target).eq(0).all()


def test_squared_spectral_convergence_divides_by_no_less_than_the_minimum_energy():
    quiet = torch.full((1, 4, 4), 10.0)
    found = losses.squared_spectral_convergence(0 * quiet, quiet)
    assert torch.allclose(found, torch.tensor(16 * 10.0**2 / losses.MIN_ENERGY))


def test_squared_spectral_convergence_and_its_gradient_are_finite():
    """For any decoder output, and a silent target."""
    silence = torch.zeros(1, 4, 4)
    extreme = torch.full((1, 4, 4), 1e4, requires_grad=True)
    error = losses.squared_spectral_convergence(losses.amplitude(extreme), losses.amplitude(silence))
    error.sum().backward()
    assert torch.isfinite(error).all()
    assert torch.isfinite(extreme.grad).all()
    assert losses.squared_spectral_convergence(losses.amplitude(silence), losses.amplitude(silence)) == 0


def test_frequency_error_is_circular():
    ones = torch.ones(1, 4, 4)
    assert losses.frequency_error(-ones, ones, ones).abs() < 1e-6
    assert torch.isclose(losses.frequency_error(0 * ones, ones, ones), torch.tensor(2.0))
    assert torch.isclose(losses.frequency_error(0.5 * ones, 0 * ones, ones), torch.tensor(1.0))
    # 0.99 and -0.99 differ by 0.02 half-turns
    assert losses.frequency_error(0.99 * ones, -0.99 * ones, ones) < 1 - math.cos(0.03 * math.pi)


def test_frequency_error_is_weighted_by_the_log_magnitude():
    target, log_magnitude = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 3.0], [0.0, 0.0]]])
    silent_bins = torch.tensor([[[0.0, 0.0], [0.7, -0.3]]])
    assert losses.frequency_error(silent_bins, target, log_magnitude) == 0
    assert losses.frequency_error(silent_bins, target, 0 * log_magnitude) == 0  # silence gives no NaN
    found = losses.frequency_error(silent_bins.flip(1), target, log_magnitude)
    expected = (1 * (1 - math.cos(0.7 * math.pi)) + 3 * (1 - math.cos(0.3 * math.pi))) / 4
    assert torch.isclose(found, torch.tensor(expected))
    assert torch.isclose(found, losses.frequency_error(silent_bins.flip(1), target, 5 * log_magnitude))


def test_kl_divergence_agrees_with_torch_distributions():
    mean, logvar = torch.randn(64, 7), torch.randn(64, 7)
    expected = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0, 1))
    assert torch.allclose(losses.kl_divergence(mean, logvar), expected, atol=1e-5)


def test_free_bits_have_no_gradient_below_the_threshold():
    kl = torch.tensor([0.02, 0.5], requires_grad=True)
    cost = losses.free_bits(kl, 0.1, average=kl)
    cost.backward()
    assert torch.isclose(cost, torch.tensor(0.4))
    assert kl.grad.tolist() == [0.0, 1.0]


def test_free_bits_of_the_shares_of_a_batch_are_those_of_the_batch():
    """Also for a latent whose KL is above the free bits in one share only."""
    shares = torch.tensor([[0.02, 0.5, 0.3], [0.04, 0.7, 0.0]])
    average = shares.mean(dim=0)
    whole = losses.free_bits(average, 0.1, average)
    assert torch.isclose(sum(losses.free_bits(share, 0.1, average) for share in shares) / 2, whole)
    assert torch.isclose(whole, torch.tensor(0.55))
