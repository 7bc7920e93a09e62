"""The latents of one sound, by gradient: from the encoder's guess to what the decoder makes it best of.

An encoder answers for all sounds at once, and for one that it has never heard its answer is not the
best there is: the amortisation gap (Cremer et al. 2018, "Inference suboptimality in variational
autoencoders"). Some steps down the loss of the one sound close most of it (Kim et al. 2018,
"Semi-amortized variational autoencoders").

Axes: B batch, F frequency bins, T time frames, D latents.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vae2ch import hardware, losses
from vae2ch.model import VAE, Posterior

STEPS = 6
RATE = 0.5  # 1 would go straight to the best point, were the decoder linear and the latents independent
MOMENTUM = 0.6
LEAST = 1e-6  # of the KL's weight that a step is divided by


class Weights(NamedTuple):
    """Of the loss, beside the magnitude error's 1."""

    amplitude: float
    kl: float


class Cost:
    """Magnitude and amplitude error and KL of each sound: what of the loss depends on the posterior's mean.

    The frequency's error is left out: it is the magnitudes that are heard wrong, and they are steeper.

    Args:
        target: the sounds  [B, 2, F, T]
        weights: of the loss
    """

    def __init__(self, target: Tensor, weights: Weights) -> None:
        self.magnitude, self.weights = target[:, 0], weights
        self.amplitude = losses.amplitude(self.magnitude)  # once, not at every step

    def __call__(self, decoded: Tensor, latent: Tensor) -> Tensor:
        """Of what the decoder makes [B, 2, F, T] of latents [B, D]  [B]"""
        error = (decoded[:, 0] - self.magnitude).square().mean(dim=(-2, -1))
        amplitude = losses.amplitude_error(losses.amplitude(decoded[:, 0]), self.amplitude)
        return error + self.weights.amplitude * amplitude + self.weights.kl * 0.5 * latent.square().sum(dim=1)


def refine(vae: VAE, target: Tensor, posterior: Posterior, weights: Weights, steps: int = STEPS) -> Tensor:
    """Latents of spectrograms [B, 2, F, T], never worse than the posterior's mean  [B, D]

    A step is the natural gradient: the gradient times the posterior's variance, as each latent has a
    scale of its own (Amari 1998), with momentum. A step that makes a sound worse is taken back, and
    half of it tried from standing. No sound depends on the others of its batch.

    Args:
        vae: in evaluation mode
        target: at the model's level, not padded
        posterior: the encoder's, where it starts
        weights: of the loss
        steps: how many looks, with a move between two; each costs about three passes through the decoder
    """
    device = target.device.type
    fast = hardware.has_bf16(device)
    with torch.inference_mode(False), torch.enable_grad():
        # copies, as nothing made in inference mode can take part in a gradient
        cost, best, logvar = Cost(target.clone(), weights), posterior.mean.clone(), posterior.logvar.clone()
        scale = logvar.exp() / max(weights.kl, LEAST)
        lowest = torch.full_like(best[:, :1], torch.inf)
        rate = torch.full_like(lowest, RATE)
        slope, velocity, point = torch.zeros_like(best), torch.zeros_like(best), best
        for step in range(1, steps + 1):
            point = point.detach().requires_grad_()
            with torch.autocast(device, torch.bfloat16, enabled=fast):
                decoded = vae.decode(point)
            costs = cost(decoded, point)[:, None]
            better = costs.detach() < lowest
            best, lowest = torch.where(better, point.detach(), best), torch.where(better, costs.detach(), lowest)
            if step == steps:
                break
            (gradient,) = torch.autograd.grad(costs.sum(), point)
            slope, rate = torch.where(better, gradient, slope), torch.where(better, rate, rate / 2)
            velocity = torch.where(better, MOMENTUM * velocity, 0) - rate * scale * slope
            point = best + velocity
    return best
