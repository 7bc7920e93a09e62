import numpy as np
import pytest
import torch

from vae2ch import principal
from vae2ch.metrics import snr
from vae2ch.model import VAE

SIZE = (64, 64)


def pictures(count=40, rank=6, size=SIZE):
    """Magnitudes that a few patterns add up to, each heard at its own loudness."""
    loudness = torch.rand(count, rank) * torch.linspace(1, 0.3, rank)
    return (loudness @ torch.rand(rank, size[0] * size[1])).unflatten(1, size)


def started(magnitude, kl_weight=1e-9, **changes):
    vae = VAE(**{"bins": magnitude.shape[1], "frames": magnitude.shape[2], "latent_dim": 4, **changes}).eval()
    principal.start(vae, magnitude, kl_weight)
    return vae


def spectrograms(magnitude):
    return torch.stack([magnitude, torch.rand_like(magnitude) * 2 - 1], dim=1)


def before_softplus(vae, magnitude):
    """What the magnitude head's convolution gives, before its activation  [N, F, T]"""
    seen = []
    hook = vae.decoder.heads.register_forward_hook(lambda _, inputs, output: seen.append(output[:, :1]))
    vae(spectrograms(magnitude))
    hook.remove()
    return seen[0][:, 0, : magnitude.shape[1], : magnitude.shape[2]].detach()


@pytest.mark.parametrize("size", [(64, 64), (50, 40)])
def test_the_start_is_pca_of_whole_pictures(size):
    magnitude = pictures(size=size)
    flat = magnitude.flatten(1).double().numpy()
    mean = flat.mean(axis=0)
    _, _, directions = np.linalg.svd(flat - mean, full_matrices=False)
    expected = (flat - mean) @ directions[:4].T @ directions[:4] + mean
    made = before_softplus(started(magnitude), magnitude)
    expected = torch.from_numpy(expected).unflatten(1, size)
    assert snr(expected.flatten(), made.flatten()) > 50
    assert snr(magnitude.flatten(), made.flatten()) < 45  # four of six: there is something to tell apart


def test_latents_are_centred_and_as_wide_as_the_prior():
    magnitude = pictures()
    vae = started(magnitude, kl_weight=1e-3)
    posterior = vae.encode(spectrograms(magnitude))
    assert posterior.mean.mean(dim=0).abs().max() < 1e-3
    # of the aggregate: the spread of the means, and the posterior's own
    total = posterior.mean.var(dim=0, correction=0) + posterior.logvar.exp()[0]
    assert torch.allclose(total, torch.ones(4), atol=1e-3)


def test_the_posterior_is_as_wide_as_the_loss_wants_it():
    magnitude, kl_weight = pictures(), 1e-3
    vae = started(magnitude, kl_weight)
    posterior = vae.encode(spectrograms(magnitude))

    def loss(latent, change):
        """Of noise on one latent alone, through the linear part of the decoder, by its exact expectation."""
        variance = (posterior.logvar[0, latent] + change).exp()
        moved = torch.zeros(4)
        moved[latent] = 1
        first, second = (vae.decoder.latent(place) for place in (moved, torch.zeros(4)))
        rank = 192  # the channels that carry components
        energy = (first - second).unflatten(0, (512, -1))[:rank].square().sum()
        return energy * variance / magnitude[0].numel() + kl_weight * 0.5 * (variance - variance.log())

    for latent in range(4):
        widths = torch.linspace(-1, 1, 41)
        costs = torch.stack([loss(latent, change) for change in widths])
        best = widths[costs.argmin()]
        assert abs(float(best)) <= 0.05, latent


def test_no_frequency_is_claimed_and_all_is_left_to_learn():
    magnitude = pictures()
    vae = started(magnitude)
    output, posterior = vae.train()(spectrograms(magnitude))
    assert output[:, 1].abs().max() == 0
    (output[:, 0].square().mean() + (output[:, 1] - 0.3).square().mean() + posterior.logvar.square().mean()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in vae.parameters())
    assert vae.decoder.heads.weight.grad[:, 1].abs().max() > 0


@pytest.mark.parametrize(
    "magnitude",
    [torch.zeros(3, 64, 32), torch.ones(2, 64, 32), torch.rand(3, 33, 5)],
    ids=["silence", "all equal", "few sounds, odd size"],
)
def test_too_little_to_learn_from_breaks_nothing(magnitude):
    vae = started(magnitude, latent_dim=50)
    assert all(weight.isfinite().all() for weight in vae.parameters())
    output, posterior = vae(spectrograms(magnitude))
    assert output.isfinite().all()
    assert posterior.logvar.isfinite().all()
