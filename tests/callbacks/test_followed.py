from types import SimpleNamespace

import pytest
import torch

from tests.helpers import small_codec_config
from vae2ch.callbacks.followed import followed_sounds, spectrogram_of, versions
from vae2ch.codec import SoundCodec
from vae2ch.data.dataset import Item
from vae2ch.metrics import snr


@pytest.fixture
def codec():
    return SoundCodec(small_codec_config()).eval().requires_grad_(False)


def item_of(codec, samples):
    wave = torch.zeros(codec.segment)
    wave[:samples] = 0.3 * torch.randn(samples)
    return Item(wave, torch.tensor(samples), torch.tensor(0), torch.tensor(1.0))


@pytest.mark.parametrize("samples", [1, 700, 1984])
def test_versions_have_the_length_of_the_sound_without_padding(codec, samples):
    item = item_of(codec, samples)
    made = versions(codec, item, seed=0)
    assert list(made) == ["original", "ceiling", "reconstruction", "variation"]
    assert {wave.shape for wave in made.values()} == {(samples,)}
    assert torch.equal(made["original"], item.wave[:samples])
    assert snr(made["original"], made["ceiling"]) > 90
    assert not torch.equal(made["reconstruction"], made["variation"])


def test_spectrogram_of_a_short_sound_has_the_size_of_a_segment(codec):
    wave = 0.3 * torch.randn(700)
    spectrogram, level = spectrogram_of(codec.representation, wave)
    whole, _ = codec.representation(torch.nn.functional.pad(wave, (0, 1984 - 700))[None])
    assert torch.equal(spectrogram, whole[0])
    assert level.shape == ()


def test_followed_sounds_are_evenly_spaced_segments_by_label():
    data = SimpleNamespace(datasets={"test": list("abcde")}, label=lambda split, n: f"{split} {n}")
    trainer = SimpleNamespace(datamodule=data)
    assert followed_sounds(trainer, "test", 3) == {"test 0": "a", "test 2": "c", "test 4": "e"}
    assert len(followed_sounds(trainer, "test", 9)) == 5
