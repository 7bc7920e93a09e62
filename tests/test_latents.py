import math

import pytest
import torch

from vae2ch import losses
from vae2ch.errors import InputError
from vae2ch.initial_weights.pca import initialise_from_pca
from vae2ch.latents import CAPACITY, INITIAL_PEAK, SMOOTHING, LatentDistribution, LatentOptimiser
from vae2ch.model import VAE, Posterior

KL_WEIGHT = 1e-4
OPTIMISER = LatentOptimiser(amplitude_weight=0.0, kl_weight=KL_WEIGHT)


def generator():
    return torch.Generator().manual_seed(0)


def posteriors(batches, size, latent_dim=4):
    """Correlated means around a centre, and variances, drawn once for all batches  [batches, size, D] each"""
    mixing = torch.randn(latent_dim, latent_dim)
    mean = torch.randn(batches, size, latent_dim) @ mixing + torch.linspace(-3, 3, latent_dim)
    return mean, torch.randn(batches, size, latent_dim) - 1


def filled(mean, logvar, peak=None):
    """A distribution that was updated with all batches."""
    latents = LatentDistribution(mean.shape[-1])
    for number, batch in enumerate(zip(mean, logvar, strict=True)):
        latents.update(Posterior(*batch), torch.full((mean.shape[1],), 0.5) if peak is None else peak[number])
    return latents


# -- running moments and stored segments ----------------------------------------------------------


@pytest.mark.parametrize(("batches", "size"), [(1, 1), (1, 8), (7, 3), (99, 5), (100, 1)])
@pytest.mark.parametrize("latent_dim", [1, 4])
def test_moments_equal_those_of_all_data(batches, size, latent_dim):
    """Those of a mixture of Gaussians, one for each segment, for up to 100 batches."""
    mean, logvar = posteriors(batches, size, latent_dim)
    latents = filled(mean, logvar)
    means, variances = mean.flatten(0, 1).double(), logvar.flatten(0, 1).double().exp()
    centre = means.mean(dim=0)
    second = (means[:, :, None] * means[:, None, :]).mean(dim=0) + variances.mean(dim=0).diag()
    assert torch.allclose(latents.centre.double(), centre, atol=1e-4)
    assert torch.allclose(latents.covariance.double(), second - centre.outer(centre), atol=1e-3)


def test_moments_are_those_of_samples_of_the_posteriors():
    mean, logvar = posteriors(10, 6)
    latents = filled(mean, logvar)
    posterior = Posterior(mean.flatten(0, 1), logvar.flatten(0, 1))
    drawn = torch.cat([posterior.sample(torch.randn_like(posterior.mean)) for _ in range(5000)])
    assert torch.allclose(latents.centre, drawn.mean(dim=0), atol=0.02)
    assert torch.allclose(latents.covariance, drawn.T.cov(), atol=0.1)


def test_moments_follow_a_change_after_many_batches():
    mean, logvar = posteriors(150, 4)
    latents = filled(mean, logvar)
    changed = mean[:1].expand(1000, -1, -1) + 10
    for batch in changed:
        latents.update(Posterior(batch, logvar[0]), torch.ones(4))
    expected = changed[0].T.cov(correction=0) + logvar[0].exp().mean(dim=0).diag()
    assert torch.allclose(latents.centre, changed[0].mean(dim=0), atol=0.01)
    assert torch.allclose(latents.covariance, expected, atol=0.1)


@pytest.mark.parametrize("size", [3, 8, 100])
def test_the_latest_segments_are_stored_with_their_peaks(size):
    batches = 1 + 1000 // size
    mean, logvar = posteriors(batches, size)
    peak = torch.rand(batches, size)
    latents = filled(mean, logvar, peak)
    stored = torch.cat([latents.stored_means(), latents.peaks[:, None]], dim=1)
    latest = torch.cat([mean, peak[..., None]], dim=-1).flatten(0, 1)[-CAPACITY:]
    assert sorted(stored.tolist()) == sorted(latest.tolist())


def test_fewer_segments_than_the_capacity_are_all_stored():
    mean, logvar = posteriors(5, 8)
    latents = filled(mean, logvar)
    assert torch.equal(latents.stored_means(), mean.flatten(0, 1))


@pytest.mark.parametrize("batches", [0, 3, 130])
def test_state_survives_a_round_trip_through_a_state_dict(batches):
    """At any time, and the next updates continue from it."""
    mean, logvar = posteriors(batches + 1, 6)
    latents = filled(mean[:batches], logvar[:batches])
    loaded = LatentDistribution(4)
    loaded.load_state_dict(latents.state_dict())
    for _ in range(2):
        for name, value in latents.state_dict().items():
            assert torch.equal(value, loaded.state_dict()[name]), name
        for one, other in zip(latents.sample(20, generator()), loaded.sample(20, generator()), strict=True):
            assert torch.equal(one, other)
        for distribution in (latents, loaded):
            distribution.update(Posterior(mean[-1], logvar[-1]), torch.ones(6))


def test_updates_keep_no_gradient_and_take_reduced_precision():
    latents = LatentDistribution(4)
    mean = torch.randn(6, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        latents.update(Posterior(mean, torch.zeros(6, 4)), torch.ones(6))
    expected = mean.detach().T.cov(correction=0) + torch.eye(4)
    assert torch.allclose(latents.covariance, expected, atol=1e-5)
    assert not any(buffer.requires_grad for buffer in latents.buffers())


def test_creation_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    LatentDistribution(4)
    assert torch.equal(torch.get_rng_state(), state)


# -- samples --------------------------------------------------------------------------------------


def test_samples_are_from_the_prior_before_the_first_batch():
    latent, peak = LatentDistribution(4).sample(20_000, generator())
    assert torch.allclose(latent.mean(dim=0), torch.zeros(4), atol=0.15)
    assert torch.allclose(latent.T.cov(), torch.eye(4), atol=0.25)
    assert torch.allclose(peak, torch.tensor(INITIAL_PEAK))


def two_groups():
    """A group of loud and one of soft sounds, far apart in the last latent; the distribution and the means."""
    group = torch.tensor([[3.0, -1.0, 0.0, 40.0], [3.0, -1.0, 0.0, -40.0]])
    mean = (group[None, :, None] + 0.1 * torch.randn(32, 2, 4, 4)).flatten(1, 2)
    peak = torch.tensor([0.5, 0.01]).repeat_interleave(4).expand(32, -1)
    return filled(mean, torch.full_like(mean, math.log(0.25)), peak), mean.flatten(0, 1)


def test_samples_have_the_moments_of_the_training_segments():
    latents, means = two_groups()
    latent, _ = latents.sample(20_000, generator())
    within = SMOOTHING**2 * 0.25 * torch.eye(4)
    assert torch.allclose(latent.mean(dim=0), means.mean(dim=0), atol=1.0)
    assert torch.allclose(latent.T.cov()[:3, :3], (means.T.cov() + within)[:3, :3], atol=0.05)
    assert abs(latent[:, 3].std() - 40) < 2


def test_samples_are_near_training_segments_and_have_their_peaks():
    latents, _ = two_groups()
    latent, peak = latents.sample(20_000, generator())
    assert (latent[:, 3].abs() > 4).float().mean() > 0.95  # few between the groups
    assert sorted(set(peak.tolist())) == pytest.approx([0.01, 0.5])
    assert ((peak > 0.1) == (latent[:, 3] > 0)).float().mean() > 0.95


@pytest.mark.parametrize("count", [20, CAPACITY, CAPACITY + 20])
def test_each_stored_segment_is_used_once_before_any_is_used_twice(count):
    latents = LatentDistribution(4)
    latents.peaks.copy_(torch.arange(CAPACITY))  # tells them apart
    _, peak = latents.sample(count, generator())
    assert len(peak) == count
    assert len(peak.unique()) == min(count, CAPACITY)


def test_samples_without_smoothing_are_stored_segments():
    mean, logvar = posteriors(5, 8)
    latent, _ = filled(mean, logvar).sample(40, generator(), smoothing=0.0)
    assert torch.allclose(torch.tensor(sorted(latent.tolist())), torch.tensor(sorted(mean.flatten(0, 1).tolist())))


def test_samples_with_full_smoothing_are_of_one_gaussian():
    latents, _ = two_groups()
    latent, _ = latents.sample(50_000, generator(), smoothing=1.0)
    assert torch.allclose(latent.mean(dim=0), latents.centre, atol=0.5)
    assert torch.allclose(latent.T.cov(), latents.covariance, rtol=0.05, atol=0.3)
    between = (latent[:, 3].abs() < 20).float().mean()
    assert float(between) == pytest.approx(math.erf(0.5 / math.sqrt(2)), abs=0.02)  # a Gaussian, not two groups


def test_samples_are_determined_by_the_generator():
    latents, _ = two_groups()
    first, second = latents.sample(10, generator())[0], latents.sample(10, generator())[0]
    assert torch.equal(first, second)
    assert not torch.equal(first, latents.sample(10, torch.Generator().manual_seed(1))[0])


# -- perturbation ---------------------------------------------------------------------------------


def test_perturbation_without_smoothing_returns_the_latents():
    latents, _ = two_groups()
    latent = torch.randn(2, 3, 4)
    assert torch.allclose(latents.perturb(latent, torch.randn(4), smoothing=0.0), latent, atol=1e-5)


def test_a_covariance_that_no_noise_can_have_is_refused():
    latents = LatentDistribution(3)
    latents.covariance.zero_()
    with pytest.raises(InputError, match="not positive definite"):
        latents.sample(1, torch.Generator())


def test_a_number_or_smoothing_out_of_range_is_refused():
    latents, _ = two_groups()
    with pytest.raises(InputError, match="count=0: at least one sample"):
        latents.sample(0, torch.Generator())
    for smoothing in (-0.1, 1.5, math.nan):
        with pytest.raises(InputError, match=r"smoothing=\S+: allowed are 0 to 1"):
            latents.sample(1, torch.Generator(), smoothing)


def test_perturbation_with_full_smoothing_ignores_the_latents():
    latents, _ = two_groups()
    noise = torch.randn(4)
    one, other = latents.perturb(torch.randn(2, 4) * 10, noise, smoothing=1.0)
    assert torch.allclose(one, other)
    assert torch.allclose(latents.perturb(torch.randn(4), 0 * noise, smoothing=1.0), latents.centre)


@pytest.mark.parametrize("smoothing", [0.3, SMOOTHING])
def test_perturbation_shrinks_towards_the_centre_and_adds_noise_of_the_covariance(smoothing):
    mean, logvar = posteriors(10, 8)
    latents = filled(mean, logvar)
    latent = torch.randn(4)
    varied = latents.perturb(latent, torch.randn(100_000, 4), smoothing)
    expected = latents.centre + math.sqrt(1 - smoothing**2) * (latent - latents.centre)
    assert torch.allclose(varied.mean(dim=0), expected, atol=0.05)
    assert torch.allclose(varied.T.cov(), smoothing**2 * latents.covariance, rtol=0.05, atol=0.05)


# -- optimisation ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inexact_encoder():
    """A VAE whose decoder fits the sounds and whose encoder is somewhat wrong; spectrograms  [24, 2, 64, 64]"""
    torch.manual_seed(0)
    log_magnitude = (torch.rand(24, 6) @ torch.rand(6, 64 * 64) / 3).unflatten(1, (64, 64))
    vae = VAE(bins=64, frames=64, latent_dim=6).eval()
    initialise_from_pca(vae, log_magnitude, KL_WEIGHT, 64 * 64)
    with torch.no_grad():
        weight = vae.encoder.latent.weight[:6]
        weight += 0.3 * weight.std() * torch.randn_like(weight)
    return vae, torch.stack([log_magnitude, torch.zeros_like(log_magnitude)], dim=1)


def optimise(vae, spectrogram, optimiser=OPTIMISER):
    with torch.no_grad():
        posterior = vae.encode(spectrogram)
    return optimiser(vae.decode, spectrogram[:, 0], posterior)


@torch.no_grad()
def test_optimisation_reduces_the_error_of_an_inexact_encoder(inexact_encoder):
    vae, spectrogram = inexact_encoder

    def error(latent):
        return float((vae.decode(latent)[:, 0] - spectrogram[:, 0]).square().mean())

    latents = [optimise(vae, spectrogram, LatentOptimiser(0.0, KL_WEIGHT, evaluations=n)) for n in (1, 2, 4, 8, 12)]
    errors = [error(latent) for latent in latents]
    assert torch.equal(latents[0], vae.encode(spectrogram).mean)  # the first evaluation is that of the start
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.3 * errors[0]


@torch.no_grad()
def test_the_loss_is_the_training_loss_without_frequency(inexact_encoder):
    vae, spectrogram = inexact_encoder
    latent, target = torch.randn(24, 6), spectrogram[:, 0]
    decoded = vae.decode(latent)[:, 0]
    found = LatentOptimiser(amplitude_weight=0.3, kl_weight=0.02).loss(decoded, target, latent)
    amplitudes = torch.expm1(2 * decoded), torch.expm1(2 * target)
    # these sounds have less energy than the minimum that the convergence is divided by
    convergence = (amplitudes[0] - amplitudes[1]).square().sum(dim=(1, 2)) / losses.MIN_ENERGY
    expected = (decoded - target).square().mean(dim=(1, 2)) + 0.3 * convergence
    assert torch.allclose(found, expected + 0.02 * 0.5 * latent.square().sum(dim=1), rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("amplitude_weight", [0.0, 0.01, 10.0])
@pytest.mark.parametrize("kl_weight", [0.0, 1e-9, 1e-4, 1.0])
def test_no_sound_gets_a_higher_loss_whatever_the_weights(inexact_encoder, kl_weight, amplitude_weight):
    vae, spectrogram = inexact_encoder
    optimiser = LatentOptimiser(amplitude_weight, kl_weight)
    start, found = vae.encode(spectrogram).mean, optimise(vae, spectrogram, optimiser)
    before, after = (optimiser.loss(vae.decode(latent)[:, 0], spectrogram[:, 0], latent) for latent in (start, found))
    assert torch.isfinite(found).all()
    assert (after <= before * (1 + 1e-5)).all()


@torch.no_grad()
def test_sounds_of_a_batch_are_optimised_independently(inexact_encoder):
    vae, spectrogram = inexact_encoder
    together, alone = optimise(vae, spectrogram), optimise(vae, spectrogram[3:4])
    assert torch.allclose(together[3:4], alone, atol=1e-3)


def test_optimisation_leaves_the_parameters_alone_and_works_in_inference_mode(inexact_encoder):
    vae, spectrogram = inexact_encoder
    with torch.inference_mode():
        inside = optimise(vae, spectrogram.clone())
    outside = optimise(vae, spectrogram)
    assert torch.equal(inside, outside)
    assert not outside.requires_grad
    assert all(weight.grad is None for weight in vae.parameters())
