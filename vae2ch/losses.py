"""Terms of the training loss: pure functions. Axes: B batch, F frequency bins, T time frames, D latents."""

import math

import torch
from torch import Tensor

from vae2ch.representation import expand

MAX_LOG_MAGNITUDE = 6.0  # 24 dB re full scale at a gain of 1e4; keeps the exponential finite
MIN_ENERGY = 1e6  # lower bound of the divisor: energy of one bin 60 dB above the knee


def log_magnitude_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of log magnitudes [B, F, T]; 1 is (17 dB)^2 well above the knee  [B]"""
    # not absolute: that is minimised by the median, which is silence, as most bins are nearly silent
    return (predicted - target).square().mean(dim=(-2, -1))


def amplitude(log_magnitude: Tensor) -> Tensor:
    """Amplitude relative to the knee of the logarithm, bounded by ``MAX_LOG_MAGNITUDE``; same shape."""
    return expand(log_magnitude.clamp(max=MAX_LOG_MAGNITUDE))


def squared_spectral_convergence(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared error of amplitudes [B, F, T] divided by the energy of the target  [B]

    The square of the spectral convergence of Arik et al. (2019), "Fast spectrogram inversion using multi-head
    convolutional neural networks". It weights loud bins; the error of the logarithm weights all bins alike.
    """
    energy = target.square().sum(dim=(-2, -1)).clamp(min=MIN_ENERGY)
    return (predicted - target).square().sum(dim=(-2, -1)) / energy


def frequency_error(predicted: Tensor, target: Tensor, log_magnitude: Tensor) -> Tensor:
    """Circular error of instantaneous frequencies [B, F, T], weighted by the target's log magnitude  [B]

    ``sum(m * (1 - cos(pi (p - t)))) / sum(m)``, in [0, 2]. Circular, as -1 and +1 are the same angle; weighted, as the
    phase of a bin without energy is noise.
    """
    distance = 1 - torch.cos(math.pi * (predicted - target))
    weight = log_magnitude.sum(dim=(-2, -1)).clamp(min=1e-6)
    return (log_magnitude * distance).sum(dim=(-2, -1)) / weight


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) in nats for each latent (Kingma and Welling 2014): [B, D] -> [B, D]"""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar)


def free_bits(kl: Tensor, nats: float, average: Tensor) -> Tensor:
    """Sum of the KL [D] in excess of ``nats``, over the latents whose ``average`` KL [D] is more than that.

    Kingma et al. (2016), "Improved variational inference with inverse autoregressive flow", less the constant. The
    average is that over the whole batch, ``kl`` that over a process's share of it.
    """
    return torch.where(average > nats, kl - nats, 0).sum()
