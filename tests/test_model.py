import pytest
import torch
from torch import nn

from vae2ch.model import LOGVAR_RANGE, VAE, Decoder, DownConv, Encoder, Posterior, UpConv, pad_to_stride, padded_length


def small(**changes):
    return VAE(**{"bins": 64, "frames": 32, "latent_dim": 5, **changes})


def shapes_through(module, layers, value):
    """Shape at the entry of the first of the layers, and after each of them."""
    shapes = []
    hooks = [
        layer.register_forward_hook(lambda _, inputs, output: shapes.append((inputs[0].shape, output.shape)))
        for layer in layers
    ]
    module(value)
    for hook in hooks:
        hook.remove()
    return [shapes[0][0], *(after for _, after in shapes)]


def test_widths_and_sizes_of_all_layers():
    vae = VAE(bins=512, frames=128).eval()
    down = shapes_through(vae.encoder, vae.encoder.layers, torch.rand(1, 2, 512, 128))
    assert [shape[1] for shape in down] == [2, 64, 128, 256, 512, 512]
    assert [tuple(shape[2:]) for shape in down] == [(512 >> n, 128 >> n) for n in range(6)]
    up = shapes_through(vae.decoder, vae.decoder.layers, torch.randn(1, 128))
    assert [shape[1] for shape in up] == [512, 512, 256, 128, 64]
    assert [tuple(shape[2:]) for shape in up] == [(16 << n, 4 << n) for n in range(5)]
    assert vae.decode(torch.randn(1, 128)).shape == (1, 2, 512, 128)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (DownConv(6, 10), lambda layer, x: nn.Conv2d.forward(layer, x)),
        (DownConv(6, 10, relu=True), lambda layer, x: nn.Conv2d.forward(layer, x.relu())),
        (UpConv(6, 10), lambda layer, x: nn.ConvTranspose2d.forward(layer, x)),
        (UpConv(6, 10, relu=True), lambda layer, x: nn.ConvTranspose2d.forward(layer, x).relu()),
    ],
    ids=["down", "down relu", "up", "up relu"],
)
def test_layers_equal_torch_convolutions_in_value_and_gradient(layer, reference, memory_format):
    features = torch.randn(2, 6, 8, 4).to(memory_format=memory_format).requires_grad_()
    nn.init.normal_(layer.weight, std=0.2)
    nn.init.normal_(layer.bias)
    found, expected = layer(features), reference(layer, features)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)
    pull = torch.randn_like(found)
    variables = (features, layer.weight, layer.bias)
    gradients = (torch.autograd.grad(output, variables, pull) for output in (found, expected))
    for mine, theirs in zip(*gradients, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)


def test_all_layers_have_stride_2():
    vae = small()
    heads = (vae.decoder.magnitude_head, vae.decoder.frequency_head)
    down, up = list(vae.encoder.layers), [*vae.decoder.layers, *heads]
    assert [layer.stride for layer in (*down, *up)] == [(2, 2)] * 11
    assert all(isinstance(layer, nn.Conv2d) for layer in down)
    assert all(isinstance(layer, nn.ConvTranspose2d) for layer in up)


def test_at_least_12_million_parameters():
    assert sum(weight.numel() for weight in VAE(bins=512, frames=128).parameters()) >= 12e6


def test_heads_are_modules_and_parameters_with_their_own_names():
    vae = small()
    modules, state = dict(vae.named_modules()), vae.state_dict()
    for head, activation in (("magnitude_head", nn.Softplus), ("frequency_head", nn.Tanh)):
        assert isinstance(modules[f"decoder.{head}"], nn.ConvTranspose2d)
        assert isinstance(modules[f"decoder.{head}.activation"], activation)
        assert state[f"decoder.{head}.weight"].shape == (64, 1, 2, 2)
        assert state[f"decoder.{head}.bias"].shape == (1,)


def test_apply_heads_equals_both_heads_called_separately():
    decoder = small().decoder
    for head in (decoder.magnitude_head, decoder.frequency_head):
        nn.init.normal_(head.bias)
    features = torch.randn(3, 64, 32, 16, requires_grad=True)
    fused = decoder.apply_heads(features)
    separate = torch.cat([decoder.magnitude_head(features), decoder.frequency_head(features)], dim=1)
    assert fused.shape == (3, 2, 64, 32)
    assert torch.allclose(fused, separate, atol=1e-6)
    pull = torch.randn_like(fused)
    variables = (features, *decoder.magnitude_head.parameters(), *decoder.frequency_head.parameters())
    gradients = (torch.autograd.grad(output, variables, pull) for output in (fused, separate))
    for mine, theirs in zip(*gradients, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)


def test_decode_is_the_heads_of_the_last_layer():
    decoder = small().decoder.eval()
    features = []
    hook = decoder.layers[-1].register_forward_hook(lambda _, inputs, output: features.append(output))
    output = decoder(torch.randn(2, 5))
    hook.remove()
    assert torch.allclose(output[:, :1], decoder.magnitude_head(features[0]), atol=1e-6)
    assert torch.allclose(output[:, 1:], decoder.frequency_head(features[0]), atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_activations_keep_their_ranges(scale):
    output = small().eval().decode(scale * torch.randn(16, 5))
    assert output[:, 0].min() >= 0
    assert output[:, 1].abs().max() <= 1
    assert output[:, 0].max() > 1  # the magnitude has no upper limit
    assert output[:, 1].min() < 0 < output[:, 1].max()


def test_log_variance_is_limited():
    vae = small().eval()
    posterior = vae.encode(1e6 * torch.randn(8, 2, 64, 32))
    assert (posterior.logvar.min(), posterior.logvar.max()) == LOGVAR_RANGE


def test_outputs_and_posterior_are_float32_under_autocast():
    vae = small()
    with torch.autocast("cpu", torch.bfloat16):
        output, posterior = vae(torch.rand(2, 2, 64, 32))
    assert output.dtype == posterior.mean.dtype == posterior.logvar.dtype == torch.float32


@pytest.mark.parametrize(("bins", "frames"), [(32, 32), (32, 96), (64, 32), (96, 64)])
def test_output_has_the_size_of_the_input(bins, frames):
    vae = small(bins=bins, frames=frames).eval()
    spectrogram = torch.rand(2, 2, bins, frames)
    output, posterior = vae(spectrogram)
    assert output.shape == spectrogram.shape
    assert posterior.mean.shape == posterior.logvar.shape == (2, 5)


@pytest.mark.parametrize("latent_dim", [1, 3, 100])
def test_any_positive_number_of_latents(latent_dim):
    vae = small(latent_dim=latent_dim).eval()
    assert vae(torch.rand(2, 2, 64, 32))[1].mean.shape == (2, latent_dim)
    assert vae.latent_dim == latent_dim


@pytest.mark.parametrize(("bins", "frames"), [(1, 32), (31, 32), (500, 100), (64, 33), (64, 2)])
def test_sizes_that_are_no_multiples_of_32_are_refused(bins, frames):
    with pytest.raises(ValueError, match=f"multiples of 32: found {bins} and {frames}"):
        small(bins=bins, frames=frames)


@pytest.mark.parametrize("latent_dim", [0, -1])
def test_no_latents_are_refused(latent_dim):
    with pytest.raises(ValueError, match="latent_dim must be at least 1"):
        small(latent_dim=latent_dim)


@pytest.mark.parametrize("shape", [(1, 2, 128, 32), (1, 2, 64, 64), (1, 1, 64, 32), (2, 64, 32)])
def test_encode_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"expected \[B, 2, 64, 32\]"):
        small().encode(torch.rand(shape))


@pytest.mark.parametrize(("length", "padded"), [(1, 32), (31, 32), (32, 32), (33, 64), (500, 512), (513, 544)])
def test_padded_length_is_the_next_multiple_of_32(length, padded):
    assert padded_length(length) == padded


def test_pad_to_stride_adds_zeros_at_the_ends():
    padded = pad_to_stride(torch.ones(1, 2, 500, 100))
    assert padded.shape == (1, 2, 512, 128)
    assert padded[:, :, :500, :100].eq(1).all()
    assert padded.sum() == 2 * 500 * 100
    whole = torch.rand(1, 2, 64, 32)
    assert torch.equal(pad_to_stride(whole), whole)


def test_samples_of_the_posterior_have_its_mean_and_variance():
    mean, logvar = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, -3.0]])
    drawn = Posterior(mean.expand(50_000, -1), logvar.expand(50_000, -1)).sample(torch.randn(50_000, 2))
    assert torch.allclose(drawn.mean(dim=0), mean[0], atol=0.02)
    assert torch.allclose(drawn.var(dim=0), logvar[0].exp(), rtol=0.05)


def test_without_noise_the_mean_of_the_posterior_is_decoded():
    vae, spectrogram, noise = small(), torch.rand(2, 2, 64, 32), torch.randn(2, 5)
    output, posterior = vae(spectrogram)
    assert torch.equal(output, vae.decode(posterior.mean))
    sampled = posterior.mean + noise * (posterior.logvar / 2).exp()
    assert torch.allclose(vae(spectrogram, noise)[0], vae.decode(sampled), atol=1e-6)
    assert not torch.allclose(vae(spectrogram, noise)[0], output)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_dropout_acts_on_both_sides_of_the_latents_in_training_only(part):
    vae = small(dropout=0.5)
    module = getattr(vae, part)
    value = torch.rand(2, 2, 64, 32) if part == "encoder" else torch.randn(2, 5)

    def output():
        return torch.cat(list(module(value))) if part == "encoder" else module(value)

    assert not torch.equal(output(), output())
    vae.eval()
    assert torch.equal(output(), output())


def test_all_parameters_have_gradients():
    vae = small()
    output, posterior = vae(torch.rand(4, 2, 64, 32))
    (output.square().mean() + posterior.logvar.mean()).backward()
    idle = [name for name, weight in vae.named_parameters() if weight.grad is None or weight.grad.abs().max() < 1e-12]
    assert idle == []


def test_encoder_and_decoder_are_modules():
    vae = small()
    assert isinstance(vae.encoder, Encoder)
    assert isinstance(vae.decoder, Decoder)
    assert not [module for module in vae.modules() if isinstance(module, nn.modules.lazy.LazyModuleMixin)]
