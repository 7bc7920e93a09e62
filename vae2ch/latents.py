"""Distribution of the training latents; optimisation of latents. Axes: B batch, F bins, T frames, D latents."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae2ch import losses
from vae2ch.errors import InputError
from vae2ch.model import Posterior

CAPACITY = 512  # latest training segments, around which new sounds are sampled
AVERAGED_BATCHES = 100  # time constant of the running mean and covariance
SMOOTHING = 0.4  # noise relative to the standard deviation of the training latents
INITIAL_PEAK = 0.1  # peak amplitude of samples before the first training batch


class LatentDistribution(nn.Module):
    """Latents of the training segments: the latest posterior means with their peak amplitudes, and their moments.

    ``update`` is called with every training batch. New latents are sampled by a smoothed bootstrap (Silverman 1986,
    "Density estimation", section 6.4): the latents of a training segment plus Gaussian noise with the covariance of
    all, shrunk so that mean and covariance nearly stay those of all. The prior is a poor source of
    samples, as the latents of a small collection do not fill it.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        prior = torch.Generator().manual_seed(0)  # leaves the global generator alone
        self.register_buffer("means", torch.randn(CAPACITY, latent_dim, generator=prior))
        self.register_buffer("peaks", torch.full((CAPACITY,), INITIAL_PEAK))
        self.register_buffer("centre", torch.zeros(latent_dim))
        self.register_buffer("covariance", torch.eye(latent_dim))
        self.register_buffer("batches", torch.tensor(0))
        self.register_buffer("segments", torch.tensor(0))

    @torch.no_grad()
    def update(self, posterior: Posterior, peak: Tensor) -> None:
        """Add a training batch: posterior over latents [B, D], largest absolute sample of each segment [B]."""
        mean, variance = posterior.mean.float(), posterior.logvar.float().exp().mean(dim=0)
        place = (self.segments + torch.arange(len(mean), device=mean.device)) % CAPACITY
        self.means[place], self.peaks[place] = mean, peak.float()
        weight = 1 / (self.batches + 1).clamp(max=AVERAGED_BATCHES)
        shift = mean.mean(dim=0) - self.centre
        with torch.autocast(mean.device.type, enabled=False):
            # of a mixture: the covariances within both parts and that between their means
            within = mean.T.cov(correction=0).reshape(len(shift), -1) + variance.diag()
            between = (1 - weight) * shift.outer(shift)
        self.centre += weight * shift
        self.covariance += weight * (within + between - self.covariance)
        self.batches += 1
        self.segments += len(mean)

    def stored_means(self) -> Tensor:
        """Posterior means of the latest training segments; prior samples before the first batch  [N, D]"""
        return self.means[: min(int(self.segments), CAPACITY) or CAPACITY]

    def sample(self, count: int, generator: torch.Generator, smoothing: float = SMOOTHING) -> tuple[Tensor, Tensor]:
        """Latents and peak amplitudes of new sounds  [count, D], [count]

        Each stored segment is used once before any is used twice. The generator is on the CPU, so that a seed gives
        the same samples on every device. A ``smoothing`` of 0 returns stored segments, 1 samples one Gaussian.
        Raises ``InputError`` if ``count`` or ``smoothing`` is out of range.
        """
        if count < 1:
            raise InputError(f"count={count}: at least one sample")
        stored = len(self.stored_means())
        rounds = math.ceil(count / stored)
        chosen = torch.cat([torch.randperm(stored, generator=generator) for _ in range(rounds)])[:count]
        chosen = chosen.to(self.means.device)
        noise = torch.randn(count, self.means.shape[1], generator=generator)
        return self.perturb(self.means[chosen], noise, smoothing), self.peaks[chosen]

    def perturb(self, latent: Tensor, noise: Tensor, smoothing: float = SMOOTHING) -> Tensor:
        """Latents [..., D] shrunk towards the mean, plus standard normal ``noise`` coloured by the covariance.

        Raises ``InputError`` if that is not positive definite, or ``smoothing`` is not from 0 to 1.
        """
        if not 0 <= smoothing <= 1:
            raise InputError(f"smoothing={smoothing}: allowed are 0 to 1")
        # on the CPU in float64, as Apple's GPUs have none
        root, failed = torch.linalg.cholesky_ex(self.covariance.cpu().double())
        if failed:
            raise InputError("the model is damaged: its covariance of the latents is not positive definite")
        shrunk = self.centre + math.sqrt(1 - smoothing**2) * (latent - self.centre)
        return shrunk + smoothing * noise.to(latent) @ root.to(latent).T


@dataclass(frozen=True)
class LatentOptimiser:
    """Optimisation of the latents of each segment for its loss, starting at the encoder's estimate.

    The encoder's latents of an unseen sound are not the best ones: the amortisation gap (Cremer et al. 2018,
    "Inference suboptimality in variational autoencoders"). A few gradient steps close most of it (Kim et al. 2018,
    "Semi-amortized variational autoencoders"). A step is a natural gradient (Amari 1998), the gradient times the
    posterior variance over ``kl_weight``, with momentum. A step that increases the loss of a segment is undone and
    retried at half the rate without momentum. The loss leaves out the frequency term and the free bits.
    """

    amplitude_weight: float  # of the squared spectral convergence (log magnitude: 1)
    kl_weight: float
    evaluations: int = 12  # of the loss; each but the last costs about three passes through the decoder
    rate: float = 0.5  # 1 would reach the minimum in one step if the decoder were linear and latents independent
    momentum: float = 0.6

    def loss(self, decoded: Tensor, target: Tensor, latent: Tensor) -> Tensor:
        """Loss of log magnitudes [B, F, T] that were decoded from latents [B, D], without constants  [B]"""
        error = (decoded - target).square().mean(dim=(-2, -1))
        convergence = losses.squared_spectral_convergence(losses.amplitude(decoded), losses.amplitude(target))
        return error + self.amplitude_weight * convergence + self.kl_weight * 0.5 * latent.square().sum(dim=1)

    def __call__(self, decode: Callable[[Tensor], Tensor], target: Tensor, posterior: Posterior) -> Tensor:
        """Latents with a loss no higher than that of the posterior mean  [B, D]

        ``decode`` maps latents [B, D] to spectrograms [B, 2, F, T]; ``target`` is the log magnitude  [B, F, T].
        """
        with torch.inference_mode(False), torch.enable_grad():
            # cloned, as inference tensors cannot take part in a gradient
            target, best, logvar = target.clone(), posterior.mean.clone(), posterior.logvar.clone()
            step_scale = logvar.exp() / max(self.kl_weight, 1e-6)
            lowest = torch.full_like(best[:, :1], torch.inf)
            rate = torch.full_like(lowest, self.rate)
            best_gradient, velocity, point = torch.zeros_like(best), torch.zeros_like(best), best
            for evaluation in range(1, self.evaluations + 1):
                point = point.detach().requires_grad_()
                loss = self.loss(decode(point)[:, 0], target, point)[:, None]
                better = loss.detach() < lowest
                best = torch.where(better, point.detach(), best)
                lowest = torch.where(better, loss.detach(), lowest)
                if evaluation == self.evaluations:
                    break
                (gradient,) = torch.autograd.grad(loss.sum(), point)
                best_gradient, rate = torch.where(better, gradient, best_gradient), torch.where(better, rate, rate / 2)
                velocity = torch.where(better, self.momentum * velocity, 0) - rate * step_scale * best_gradient
                point = best + velocity
        return best
