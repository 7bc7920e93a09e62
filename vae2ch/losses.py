"""What the model is trained on: pure functions on tensors.

Axes: B batch, F frequency bins, T time frames, D latents.
"""

import math

import torch
from torch import Tensor

from vae2ch.representation import SCALE

LOUDEST = 6.0  # log magnitude, 24 dB above full scale: beyond, an exponential helps nobody
LEAST_ENERGY = 1e6  # of one bin 60 dB above the logarithm's knee: what is softer is silence


def magnitude_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of two log magnitudes [B, F, T]; scalar, 1 is (17 dB)^2 far above the floor.

    Squared, not absolute: most of a spectrogram is near silence, and the median of what a bin may
    hold is then silence as well, which is what an absolute error teaches.
    """
    return (predicted - target).square().mean()


def amplitude(magnitude: Tensor) -> Tensor:
    """Of a log magnitude: how many times the logarithm's knee, same shape."""
    return torch.expm1(SCALE * magnitude.clamp(max=LOUDEST))


def amplitude_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared difference of two amplitudes [B, F, T], over the target's energy  [B]

    The square of what Arik et al. (2019), "Fast spectrogram inversion using multi-head convolutional neural
    networks", call spectral convergence. The error of a logarithm counts every bin alike; this one the loud ones.
    """
    energy = target.square().sum(dim=(-2, -1)).clamp(min=LEAST_ENERGY)
    return (predicted - target).square().sum(dim=(-2, -1)) / energy


def frequency_error(predicted: Tensor, target: Tensor, magnitude: Tensor) -> Tensor:
    """Circular distance of instantaneous frequencies [B, F, T], weighted by the true magnitude.

    ``sum(m * (1 - cos(pi (p - t)))) / sum(m)``, a scalar in [0, 2]: -1 and +1 are the same
    angle, and where there is no energy the angle is noise and does not count.
    """
    distance = 1 - torch.cos(math.pi * (predicted - target))
    return (magnitude * distance).sum() / magnitude.sum().clamp(min=1e-6)


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) in nats, of each latent, averaged over the batch.

    [B, D] -> [D]. Summed over D it is the KL term of Kingma and Welling (2014), equation 10.
    """
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean(dim=0)


def free_bits(kl: Tensor, floor: float) -> Tensor:
    """Sum over latents [D] of the KL above ``floor`` nats each; a latent below it is left in peace.

    Kingma et al. (2016), "Improved variational inference with inverse autoregressive flow", with
    the floor's constant subtracted, so that a collapsed model shows 0.
    """
    return (kl - floor).clamp(min=0).sum()
