"""The file of a base model: what is read is what was written, to 8 bits a weight."""

import math
import re

import pytest
import torch

from tests.helpers import SMALL
from vae2ch.errors import InputError
from vae2ch.initial_weights.base_file import (
    BLOCK,
    Base,
    quantised,
    read_base,
    read_representation,
    restored,
    write_base,
)
from vae2ch.metrics import snr
from vae2ch.model import VAE, padded_length


def base(dim=20):
    torch.manual_seed(0)
    vae = VAE(bins=padded_length(SMALL.n_fft // 2 + 1), frames=padded_length(SMALL.frames), latent_dim=dim).eval()
    with torch.no_grad():
        vae.encoder.latent.weight[dim:] = 0
        vae.encoder.latent.bias[dim:] = torch.linspace(-4, 0, dim)
    return Base(vae, SMALL, 5e-6, dim // 2, "test", {"date": "2026-11-28"})


@pytest.mark.parametrize("shape", [(BLOCK,), (3, 5, 7), (64, 100)])
def test_weights_keep_eight_bits_of_the_largest_of_their_block(shape):
    weights = torch.randn(shape) * torch.logspace(-3, 3, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    found = restored(quantised(weights), torch.Size(shape))
    error = (found - weights).abs().flatten()
    blocks = torch.nn.functional.pad(weights.flatten(), (0, -weights.numel() % BLOCK)).unflatten(0, (-1, BLOCK))
    largest = blocks.abs().amax(dim=1).repeat_interleave(BLOCK)[: weights.numel()]
    assert (error <= 0.52 * largest / 127 + 1e-7).all()


@torch.no_grad()
def test_a_base_is_read_as_it_was_written(tmp_path):
    written = base()
    write_base(tmp_path / "base.pt", written)
    found = read_base(tmp_path / "base.pt")
    assert found.representation == read_representation(tmp_path / "base.pt") == SMALL
    assert (found.kl_weight, found.core, found.about) == (written.kl_weight, written.core, written.about)
    assert re.fullmatch(r"base of 2026-11-28 \([0-9a-f]{8}\)", found.name)
    sounds = torch.rand(4, 2, *written.vae.size)
    expected, posterior = written.vae(sounds)
    assert snr(posterior.mean.flatten(), found.vae.encode(sounds).mean.flatten()) > 30
    assert torch.equal(posterior.logvar, found.vae.encode(sounds).logvar)
    assert snr(expected.flatten(), found.vae(sounds)[0].flatten()) > 30


def test_the_file_has_little_more_than_a_byte_a_weight(tmp_path):
    written = base()
    write_base(tmp_path / "base.pt", written)
    count = sum(parameter.numel() for parameter in written.vae.parameters())
    count -= written.vae.encoder.latent.weight.numel() // 2
    assert (tmp_path / "base.pt").stat().st_size < 1.05 * count + 50_000


def changed(**changes):
    """A writer of a base file with other contents, by key."""

    def write(path):
        write_base(path, base())
        torch.save({**torch.load(path), **changes}, path)

    return write


def without_a_layer(path):
    write_base(path, base())
    contents = torch.load(path)
    contents["weights"].popitem()
    torch.save(contents, path)


def not_finite(path):
    made = base()
    with torch.no_grad():
        made.vae.decoder.magnitude_head.bias[0] = torch.nan
    write_base(path, made)


def truncated(path):
    write_base(path, base())
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"nothing"),
        lambda path: path.write_bytes(b""),
        lambda path: torch.save([], path),
        changed(format=99),
        changed(latent_dim=10**9),
        changed(latent_dim=7),
        changed(weights={}),
        changed(core=0),
        changed(core=21),
        changed(kl_weight=math.nan),
        changed(kl_weight=-1.0),
        changed(about={}),
        changed(representation={}),
        without_a_layer,
        not_finite,
        truncated,
        lambda path: None,
    ],
)
def test_what_is_no_base_is_refused_in_one_line(write, tmp_path):
    path = tmp_path / "base.pt"
    write(path)
    with pytest.raises(InputError) as refused:
        read_base(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)
    assert not str(refused.value).endswith("()")


@pytest.mark.parametrize("write", [changed(format=99), changed(representation={}), truncated, lambda path: None])
def test_a_representation_is_of_a_base_only(write, tmp_path):
    path = tmp_path / "base.pt"
    write(path)
    with pytest.raises(InputError, match="is no base model"):
        read_representation(path)
