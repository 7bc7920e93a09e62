"""The base model in the package: what the repository promises of it, and the starts that it gives."""

from itertools import islice

import pytest
import soxr
import torch

from tests.helpers import compose, shipped_representation
from vae2ch.data import notes
from vae2ch.initial_weights.base import features_of, initialise_from_base, initialise_from_first_latents
from vae2ch.initial_weights.base_file import read_base, shipped_bases
from vae2ch.model import VAE, pad_to_stride, padded_length

COUNT = 16


@pytest.fixture(scope="module")
def base():
    (path,) = shipped_bases()
    return read_base(path)


@pytest.fixture(scope="module")
def spectrograms():
    """Built-in notes, a few of each instrument."""
    representation = shipped_representation("16k")
    every = len(list(notes.catalogue(0))) // COUNT
    chosen = islice(notes.catalogue(0), 0, every * COUNT, every)
    waves = [soxr.resample(notes.render(*note, 0), notes.SAMPLE_RATE, representation.sample_rate) for note in chosen]
    padded = [
        torch.nn.functional.pad(torch.from_numpy(wave), (0, representation.segment - len(wave))) for wave in waves
    ]
    return pad_to_stride(representation(torch.stack(padded)).spectrogram)


def test_it_is_of_the_default_representation_and_its_file_is_small(base):
    (path,) = shipped_bases()
    assert base.representation == compose("representation=16k").representation
    assert base.vae.size == tuple(map(padded_length, shipped_representation("16k").size))
    assert base.name.startswith(f"16k of {base.about['date']} (")
    assert path.stat().st_size <= 20 * 2**20
    assert {"date", "data", "licence", "scores"} <= base.about.keys()


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("dim", [8, 32, 300, 700])
def test_every_number_of_latents_loses_nothing_but_the_components_left_away(dim, base, spectrograms):
    count, core = base.vae.latent_dim, base.core
    features = features_of(base.vae, spectrograms)
    vae = VAE(bins=base.vae.size[0], frames=base.vae.size[1], latent_dim=dim).eval()
    initialise_from_base(vae, base.vae, features, core=core)
    latents = features @ base.vae.encoder.latent.weight[:count].T + base.vae.encoder.latent.bias[:count]
    scale = ((-base.vae.encoder.latent.bias[count:]).exp().clamp(min=1 / 0.999) - 1).sqrt()
    mean = latents.mean(dim=0)
    expected = torch.zeros_like(latents)
    for part in (slice(0, core), slice(core, count))[: 1 + (dim > core)]:
        scaled = (latents - mean)[:, part] * scale[part]
        _, _, rows = torch.linalg.svd(scaled, full_matrices=False)
        rows = rows[: dim - part.start]
        expected[:, part] = mean[part] + scaled @ rows.T @ rows / scale[part]
    found = vae.decode(vae.encode(spectrograms).mean)
    torch.testing.assert_close(found, base.vae.decode(expected), rtol=1e-2, atol=2e-3)
    if dim >= count:
        torch.testing.assert_close(found, base.vae(spectrograms)[0], rtol=1e-2, atol=2e-3)


@torch.no_grad()
def test_the_default_number_of_latents_takes_the_core_as_it_is(base, spectrograms):
    assert base.core == compose().model.latent_dim
    core = base.core
    vae = VAE(bins=base.vae.size[0], frames=base.vae.size[1], latent_dim=core).eval()
    initialise_from_first_latents(vae, base.vae)
    latents = base.vae.encode(spectrograms).mean
    latents[:, core:] = 0
    torch.testing.assert_close(
        vae.decode(vae.encode(spectrograms).mean), base.vae.decode(latents), rtol=1e-3, atol=1e-4
    )
