import pytest
import torch
from torch import nn

from vae2ch.model import VAE, Decoder, Down, Encoder, Up, pad_to_stride


def small(**changes):
    return VAE(**{"bins": 64, "frames": 32, "latent_dim": 5, **changes})


def shapes_through(module, layers, value):
    """Channels and size at the entry of the first of the layers and after each of them."""
    seen = []
    hooks = [
        layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].shape, output.shape)))
        for layer in layers
    ]
    module(value)
    for hook in hooks:
        hook.remove()
    return [seen[0][0], *(after for _, after in seen)]


def test_widths_and_halvings():
    vae = VAE(bins=512, frames=128).eval()
    down = shapes_through(vae.encoder, vae.encoder.layers, torch.rand(1, 2, 512, 128))
    assert [shape[1] for shape in down] == [2, 64, 128, 256, 512, 512]
    assert [tuple(shape[2:]) for shape in down] == [(512 >> n, 128 >> n) for n in range(6)]
    up = shapes_through(vae.decoder, vae.decoder.layers, torch.randn(1, 128))
    assert [shape[1] for shape in up] == [512, 512, 256, 128, 64]
    assert [tuple(shape[2:]) for shape in up] == [(16 << n, 4 << n) for n in range(5)]
    assert vae.decode(torch.randn(1, 128)).shape == (1, 2, 512, 128)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_layers_are_the_convolutions_that_they_are_named_after(memory_format):
    features = torch.randn(2, 6, 8, 4).to(memory_format=memory_format).requires_grad_()
    cases = {
        Down(6, 10): lambda layer: nn.Conv2d.forward(layer, features),
        Down(6, 10, rectify=True): lambda layer: nn.Conv2d.forward(layer, features.relu()),
        Up(6, 10): lambda layer: nn.ConvTranspose2d.forward(layer, features),
        Up(6, 10, rectify=True): lambda layer: nn.ConvTranspose2d.forward(layer, features).relu(),
    }
    for convolution, plain in cases.items():
        nn.init.normal_(convolution.bias)
        found, expected = convolution(features), plain(convolution)
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, atol=1e-5)
        pull = torch.randn_like(found)
        wanted = (features, convolution.weight, convolution.bias)
        gradients = (torch.autograd.grad(output, wanted, pull) for output in (found, expected))
        for mine, theirs in zip(*gradients, strict=True):
            assert torch.allclose(mine, theirs, atol=1e-4)


def test_every_layer_halves_with_stride_2():
    vae = small()
    assert [layer.stride for layer in (*vae.encoder.layers, *vae.decoder.layers)] == [(2, 2)] * 9
    assert all(isinstance(layer, nn.Conv2d) for layer in vae.encoder.layers)
    assert all(isinstance(layer, nn.ConvTranspose2d) for layer in vae.decoder.layers)


def test_at_least_12_million_parameters():
    assert sum(weight.numel() for weight in VAE(bins=512, frames=128).parameters()) >= 12e6


def test_heads_keep_their_ranges():
    output = small().eval().decode(50 * torch.randn(16, 5))
    assert output[:, 0].min() >= 0
    assert output[:, 1].min() >= -1
    assert output[:, 1].max() <= 1
    assert output[:, 1].min() < 0 < output[:, 1].max()


@pytest.mark.parametrize("bins", [1, 31, 32, 33, 65])
@pytest.mark.parametrize("frames", [2, 32, 50])
def test_any_size_in_the_same_size_out(bins, frames):
    vae = small(bins=bins, frames=frames).eval()
    spectrogram = torch.rand(2, 2, bins, frames)
    output, posterior = vae(spectrogram)
    assert output.shape == spectrogram.shape
    assert posterior.mean.shape == posterior.logvar.shape == (2, 5)
    padded, again = vae(pad_to_stride(spectrogram))
    assert padded.shape == pad_to_stride(spectrogram).shape
    assert torch.equal(posterior.mean, again.mean)
    assert torch.equal(output, padded[..., :bins, :frames])


@pytest.mark.parametrize("latent_dim", [1, 3, 100])
def test_any_latent_size(latent_dim):
    vae = small(latent_dim=latent_dim).eval()
    assert vae(torch.rand(2, 2, 64, 32))[1].mean.shape == (2, latent_dim)


def test_refusals():
    with pytest.raises(ValueError, match="latent_dim must be at least 1"):
        small(latent_dim=0)
    with pytest.raises(ValueError, match=r"expected \[B, 2, 64, 32\]"):
        small()(torch.rand(1, 2, 128, 32))
    with pytest.raises(ValueError, match=r"expected"):
        small()(torch.rand(1, 1, 64, 32))


def test_padding_reaches_the_next_multiple_with_zeros():
    padded = pad_to_stride(torch.ones(1, 2, 33, 32))
    assert padded.shape == (1, 2, 64, 32)
    assert padded[:, :, :33].eq(1).all()
    assert padded[:, :, 33:].eq(0).all()


def test_noise_only_in_training():
    vae = small()
    spectrogram = torch.rand(2, 2, 64, 32)
    assert not torch.equal(vae(spectrogram)[0], vae(spectrogram)[0])
    vae.eval()
    assert torch.equal(vae(spectrogram)[0], vae(spectrogram)[0])


def test_every_weight_learns():
    vae = small()
    output, posterior = vae(torch.rand(4, 2, 64, 32))
    (output.square().mean() + posterior.logvar.mean()).backward()
    # a bias before a normalisation has no effect, and there shall be none
    idle = [name for name, weight in vae.named_parameters() if weight.grad is None or weight.grad.abs().max() < 1e-12]
    assert idle == []


def test_parts_are_modules_of_their_own():
    vae = small()
    assert isinstance(vae.encoder, Encoder)
    assert isinstance(vae.decoder, Decoder)
    assert not [module for module in vae.modules() if isinstance(module, nn.modules.lazy.LazyModuleMixin)]
