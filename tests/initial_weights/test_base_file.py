"""The file of a base model: what is read is what was written, to 8 bits a weight."""

from dataclasses import replace

import pytest
import torch

from tests.helpers import SMALL
from vae2ch.errors import InputError
from vae2ch.initial_weights import base_file
from vae2ch.initial_weights.base_file import BLOCK, Base, quantised, read_base, restored, shipped_base, write_base
from vae2ch.metrics import snr
from vae2ch.model import VAE, padded_length


def base(dim=20):
    torch.manual_seed(0)
    vae = VAE(bins=padded_length(SMALL.n_fft // 2 + 1), frames=padded_length(SMALL.frames), latent_dim=dim).eval()
    return Base(vae, torch.linspace(0.1, 0.9, dim), SMALL, 5e-6, {"name": "test", "date": "2026-11-28"})


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
    assert found.representation == SMALL
    assert found[3:] == written[3:]
    assert torch.equal(found.variance, written.variance)
    sounds = torch.rand(4, 2, *written.vae.size)
    expected, mean = written.vae(sounds)[0], written.vae.encode(sounds).mean
    assert snr(mean.flatten(), found.vae.encode(sounds).mean.flatten()) > 30
    assert snr(expected.flatten(), found.vae(sounds)[0].flatten()) > 30


def test_the_file_has_little_more_than_a_byte_a_weight(tmp_path):
    written = base()
    write_base(tmp_path / "base.pt", written)
    count = sum(parameter.numel() for parameter in written.vae.parameters())
    count -= written.vae.encoder.latent.weight.numel() // 2
    assert (tmp_path / "base.pt").stat().st_size < 1.05 * count + 50_000


def test_what_is_no_base_is_refused_in_one_line(tmp_path):
    path = tmp_path / "base.pt"
    for write in (lambda: path.write_bytes(b"nothing"), lambda: torch.save({"format": 99}, path), path.unlink):
        write()
        with pytest.raises(InputError) as refused:
            read_base(path)
        assert "\n" not in str(refused.value)
        assert str(path) in str(refused.value)


def test_the_base_that_comes_along_serves_its_representation_at_any_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(base_file, "SHIPPED", tmp_path)
    assert shipped_base(SMALL) is None
    write_base(tmp_path / "small.base", base())
    for rate in (SMALL.sample_rate, 22050):
        assert str(shipped_base(replace(SMALL, sample_rate=rate))) == "base test of 2026-11-28"
    assert shipped_base(replace(SMALL, hop=SMALL.hop // 2)) is None
