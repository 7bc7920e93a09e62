"""Changes of the network that a comparison can try."""

import pytest
import torch

from tests.helpers import QUICK, compose
from vae2ch.bench.patches import PATCHES
from vae2ch.cli.run import build
from vae2ch.model import STRIDE

SMALL = [setting for setting in QUICK if setting.startswith(("representation", "data"))]


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return build(compose(*SMALL))[1].codec.vae


@pytest.mark.parametrize("patch", PATCHES)
def test_a_patched_network_computes_the_same_at_first_and_can_be_trained(patch, vae):
    spectrogram = torch.rand(2, 2, *vae.size)
    before, expected = vae(spectrogram)
    PATCHES[patch](vae)
    vae.eval()
    made, posterior = vae(spectrogram)
    for old, new in zip((before, *expected), (made, *posterior), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-4)
    vae.train()
    made, posterior = vae(spectrogram, torch.randn(2, vae.latent_dim))
    (made.sum() + posterior.mean.sum()).backward()
    assert all(weight.grad is not None for name, weight in vae.named_parameters() if name.endswith("weight"))


@pytest.mark.parametrize("patch", ["mask_bands", "mask_patches"])
def test_masks_set_part_of_the_input_to_zero_in_training(patch, vae):
    seen = []
    vae.encoder.layers[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    PATCHES[patch](vae)
    ones = torch.ones(200, 2, *vae.size)
    vae.encode(ones)
    vae.eval().encode(ones)
    masked, whole = (1 - part for part in seen)
    assert whole.sum() == 0
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(masked[:, 0], masked[:, 1])
    # two bands, each of a sixteenth of its axis on average; a tenth of the patches
    assert 0.07 < masked.mean() < 0.13
    if patch == "mask_patches":
        assert torch.equal(
            masked, masked[..., ::STRIDE, ::STRIDE].repeat_interleave(STRIDE, 2).repeat_interleave(STRIDE, 3)
        )


def test_latents_are_dropped_in_training(vae):
    seen = []
    vae.decoder.latent.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    PATCHES["drop_latents"](vae)
    vae.decode(torch.ones(500, vae.latent_dim))
    assert 0.07 < (seen[0] == 0).float().mean() < 0.13
