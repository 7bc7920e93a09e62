"""The latents of one sound, by gradient: from the encoder's guess to what the decoder makes it best of.

An encoder answers for all sounds at once, and for one that it has never heard its answer is not the
best there is: the amortisation gap (Cremer et al. 2018, "Inference suboptimality in variational
autoencoders"). Some steps down the negative ELBO of the one sound close most of it (Kim et al. 2018,
"Semi-amortized variational autoencoders").

Axes: B batch, F frequency bins, T time frames, D latents.
"""

import torch
from torch import Tensor

from vae2ch import hardware
from vae2ch.model import VAE, Posterior

STEPS = 8
RATE = 1.0
MOMENTUM = 0.5


def cost(decoded: Tensor, latent: Tensor, target: Tensor, kl_weight: float) -> Tensor:
    """What of the loss depends on the latents, in nats: magnitude error and KL of each sound alone  [B]

    Args:
        decoded: what the decoder makes  [B, 2, F, T]
        latent: of what  [B, D]
        target: the sounds  [B, 2, F, T]
        kl_weight: of the loss
    """
    error = (decoded[:, 0] - target[:, 0]).square().mean(dim=(-2, -1))
    return error / kl_weight + 0.5 * latent.square().sum(dim=1)


def refine(vae: VAE, target: Tensor, posterior: Posterior, kl_weight: float, steps: int = STEPS) -> Tensor:
    """Latents of spectrograms [B, 2, F, T], never worse than the posterior's mean  [B, D]

    The step is the natural gradient, the gradient times the posterior's variance (Amari 1998), as each
    latent has a scale of its own, with momentum. No sound depends on the others of its batch.

    Args:
        vae: in evaluation mode
        target: at the model's level, not padded
        posterior: the encoder's, where it starts
        kl_weight: of the loss
        steps: how many; each costs two passes through the decoder
    """
    device = target.device.type
    fast = hardware.has_bf16({"cuda": "gpu"}.get(device, device))
    with torch.inference_mode(False), torch.enable_grad():
        target, latent, variance = target.clone(), posterior.mean.clone(), posterior.logvar.exp()
        best, lowest = latent, torch.full_like(latent[:, 0], torch.inf)
        velocity = torch.zeros_like(latent)
        for _ in range(steps):
            ahead = (latent + MOMENTUM * velocity).requires_grad_()
            with torch.autocast(device, torch.bfloat16, enabled=fast):
                decoded = vae.decode(ahead)
            costs = cost(decoded, ahead, target, kl_weight)
            (gradient,) = torch.autograd.grad(costs.sum(), ahead)
            better = costs.detach() < lowest
            best = torch.where(better[:, None], ahead.detach(), best)
            lowest = torch.where(better, costs.detach(), lowest)
            velocity = MOMENTUM * velocity - RATE * variance * gradient
            latent = latent + velocity
    return best
