"""The file of a base model, from a run."""

import sys

import pytest
import torch

from vae2ch.bench import base
from vae2ch.codec import SoundCodec
from vae2ch.initial_weights.base_file import read_base
from vae2ch.metrics import snr

pytestmark = pytest.mark.slow


@torch.no_grad()
def test_a_run_becomes_a_base_model(trained, tmp_path, monkeypatch, capsys):
    path = tmp_path / "made.base"
    monkeypatch.setattr(sys, "argv", ["base", str(trained[0]), str(path)])
    base.main()
    assert f"{path}: " in capsys.readouterr().out
    found, codec = read_base(path), SoundCodec.load(trained[0])
    assert found.representation == codec.config.representation
    assert found.kl_weight == codec.config.kl_weight
    assert {"date", "data", "licence", "scores"} == found.about.keys()
    assert found.about["licence"] == "that of its sounds"
    sounds = torch.rand(2, 2, *codec.vae.size)
    variance = found.vae.encode(sounds).logvar.exp()
    assert torch.equal(variance[0], variance[1])
    assert ((variance > 0) & (variance < 1.5)).all()
    assert snr(codec.vae.encode(sounds).mean.flatten(), found.vae.encode(sounds).mean.flatten()) > 30


def test_a_folder_that_is_no_run_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["base", str(tmp_path), str(tmp_path / "made.base")])
    with pytest.raises(SystemExit) as end:
        base.main()
    assert end.value.code == 2
    assert "is no run" in capsys.readouterr().err


def test_the_sounds_of_a_world_are_counted_by_what_they_are():
    names = ["v1-s0-000000-bell.wav", "recorded/speech-1.wav", "recorded/strums-2.wav", "recorded/speech-3.wav"]
    assert list(base.sources(names).values()) == [1, 2, 1]
    assert base.OTHER not in base.sources(names)
    assert base.sources(["recorded/mine.wav"])[base.OTHER] == 1


@pytest.mark.parametrize(
    ("names", "licence"),
    [
        (["v1-s0-000000-bell.wav", "recorded/speech-1.wav"], "CC0"),
        (["v1-s0-000000-bell.wav", "recorded/mine.wav"], "that of its sounds"),
        ([], "that of its sounds"),
    ],
)
def test_a_model_is_free_if_all_of_its_sounds_are_known(names, licence):
    assert base.licence_of(base.sources(names)) == licence
