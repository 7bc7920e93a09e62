import pytest
import torch

from vae2ch import principal
from vae2ch.model import VAE
from vae2ch.refinement import Cost, Weights, refine

KL_WEIGHT = 1e-4
WEIGHTS = Weights(amplitude=0.0, kl=KL_WEIGHT)


def sounds(count=24, size=(64, 64)):
    """Magnitudes that six patterns add up to, and a frequency of zero."""
    torch.manual_seed(0)
    magnitude = (torch.rand(count, 6) @ torch.rand(6, size[0] * size[1]) / 3).unflatten(1, size)
    return torch.stack([magnitude, torch.zeros_like(magnitude)], dim=1)


@pytest.fixture(scope="module")
def misled():
    """A decoder that knows the sounds, and an encoder that is somewhat off; the sounds."""
    spectrogram = sounds()
    vae = VAE(bins=64, frames=64, latent_dim=6).eval()
    principal.start(vae, spectrogram[:, 0], KL_WEIGHT)
    with torch.no_grad():
        weight = vae.encoder.latent.weight[:6]
        weight += 0.3 * weight.std() * torch.randn_like(weight)
    return vae, spectrogram


def error(vae, latent, spectrogram):
    return (vae.decode(latent)[:, 0] - spectrogram[:, 0]).square().mean()


@torch.no_grad()
def test_it_makes_up_for_the_encoder(misled):
    vae, spectrogram = misled
    posterior = vae.encode(spectrogram)
    found = [error(vae, refine(vae, spectrogram, posterior, WEIGHTS, steps), spectrogram) for steps in (1, 2, 4, 6)]
    assert found[0] == error(vae, posterior.mean, spectrogram)  # the first is where it starts
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.3 * found[0]


@torch.no_grad()
@pytest.mark.parametrize("amplitude", [0.0, 0.01, 10.0])
@pytest.mark.parametrize("kl", [0.0, 1e-9, 1e-4, 1.0])
def test_no_sound_gets_worse(misled, kl, amplitude):
    """Whatever the weight, and so the length of a step."""
    vae, spectrogram = misled
    posterior = vae.encode(spectrogram)
    weights = Weights(amplitude, kl)
    refined = refine(vae, spectrogram, posterior, weights)
    before, after = (Cost(spectrogram, weights)(vae.decode(z), z) for z in (posterior.mean, refined))
    assert torch.isfinite(refined).all()
    assert (after <= before * 1.01 + 1e-5).all()  # steps are in bf16 where there is


@torch.no_grad()
def test_no_sound_depends_on_its_neighbours(misled):
    vae, spectrogram = misled
    together = refine(vae, spectrogram, vae.encode(spectrogram), WEIGHTS)
    alone = refine(vae, spectrogram[3:4], vae.encode(spectrogram[3:4]), WEIGHTS)
    assert torch.allclose(together[3:4], alone, atol=0.05)


def test_it_leaves_the_weights_alone_and_works_in_inference_mode(misled):
    vae, spectrogram = misled
    with torch.inference_mode():
        inside = refine(vae, spectrogram.clone(), vae.encode(spectrogram), WEIGHTS)
    assert torch.equal(inside, refine(vae, spectrogram, vae.encode(spectrogram), WEIGHTS))
    assert not inside.requires_grad
    assert all(weight.grad is None for weight in vae.parameters())
