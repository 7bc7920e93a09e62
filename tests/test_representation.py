import math

import pytest
import torch
from omegaconf import OmegaConf

from tests.conftest import ROOT
from vae2ch.metrics import snr
from vae2ch.representation import QUIETEST, SCALE, Representation

OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "representation").glob("*.yaml"))


def shipped(option):
    return Representation(**OmegaConf.load(ROOT / "conf" / "representation" / f"{option}.yaml"))


def small(**changes):
    return Representation(**{"sample_rate": 16000, "n_fft": 254, "hop": 64, "frames": 32, "gain": 1e4, **changes})


def signals(rate):
    torch.manual_seed(1)
    time = torch.arange(rate) / rate
    click = torch.zeros(9999)
    click[777] = 1
    return {
        "click": click,
        "constant": torch.ones(30000),
        "full-scale noise": torch.rand(100_001) * 2 - 1,
        "one sample": torch.tensor([0.3]),
        "two samples": torch.tensor([0.3, -0.9]),
        "odd length": torch.randn(12347) * 0.1,
        "very quiet": torch.randn(20000) * 1e-5,
        "over full scale": torch.randn(20000) * 3,
        "sine": torch.sin(2 * math.pi * 440 * time),
        "chirp": torch.sin(2 * math.pi * (50 + rate / 5 * time) * time),
        "half a minute": torch.randn(30 * rate) * 0.3,
    }


@pytest.mark.parametrize("option", OPTIONS)
def test_round_trip_is_exact(option):
    representation = shipped(option)
    for name, wave in signals(representation.sample_rate).items():
        back = representation.inverse(representation(wave[None]), wave.numel())[0]
        assert back.shape == wave.shape, name
        assert snr(wave, back) > 110, (name, float(snr(wave, back)))


def test_the_level_is_a_sines_amplitude_and_scaling_is_playing_louder():
    representation = shipped("16k")
    frequency = 16000 / representation.n_fft * 40  # on a bin's centre
    time = torch.arange(representation.segment) / 16000
    sine = 0.5 * torch.sin(2 * math.pi * frequency * time)[None]
    spectrogram = representation(sine)
    assert abs(float(representation.level(spectrogram)) - 0.5) < 1e-3
    softer = representation.scaled(spectrogram, torch.tensor([0.1]))
    assert torch.allclose(softer[:, 0], representation(0.1 * sine)[:, 0], atol=1e-3)
    assert torch.equal(softer[:, 1], spectrogram[:, 1])
    assert representation.level(representation(torch.zeros(1, 5000))) == QUIETEST


def test_silence_stays_silent():
    representation = small()
    assert torch.equal(representation.inverse(representation(torch.zeros(2, 5000)), 5000), torch.zeros(2, 5000))


@pytest.mark.parametrize("option", OPTIONS)
def test_a_segment_is_the_models_size_and_needs_no_padding(option):
    representation = shipped(option)
    spectrogram = representation(torch.randn(3, representation.segment))
    assert spectrogram.shape == (3, 2, *representation.size)
    assert representation.size.bins % 32 == 0
    assert representation.size.frames % 32 == 0


def test_against_the_formula():
    """Channel by channel, from a transform written out as a sum."""
    representation = small()
    wave = torch.randn(1, 64 * 9, dtype=torch.float64)
    padded = torch.nn.functional.pad(wave, (127, 127))[0]
    time = torch.arange(254, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * time / 254)
    bins = torch.arange(128, dtype=torch.float64)
    basis = torch.polar(torch.ones(128, 254, dtype=torch.float64), -2 * math.pi * bins[:, None] * time / 254)
    frames = torch.stack([padded[t * 64 : t * 64 + 254] * window for t in range(10)])
    spectrum = (basis[None] @ frames[..., None].to(basis.dtype))[..., 0].T  # [F, T]
    magnitude = torch.log1p(1e4 * spectrum.abs() / (window.sum() / 2)) / SCALE
    advance = torch.angle(spectrum[:, 1:] * spectrum[:, :-1].conj()) - (2 * math.pi * bins * 64 / 254)[:, None]
    found = representation(wave)[0].double()
    assert torch.allclose(found[0], magnitude, atol=1e-5)
    turns = (found[1, :, 1:] - advance / math.pi) / 2
    assert (turns - turns.round()).abs().max() < 1e-4
    first = (found[1, :, 0] - spectrum[:, 0].angle() / math.pi) / 2
    assert (first - first.round()).abs().max() < 1e-4


@pytest.mark.parametrize("frequency", [440.0, 1000.0, 3210.0])
def test_frequency_of_a_sine(frequency):
    """In the nearest bin, its centre plus the deviation is the sine's own frequency; the peak is its level."""
    representation = shipped("16k")
    time = torch.arange(representation.segment) / 16000
    spectrogram = representation(0.5 * torch.sin(2 * math.pi * frequency * time)[None])[0]
    nearest = round(frequency * 1022 / 16000)
    steady = spectrogram[:, nearest, 10:-10]
    hertz = nearest * 16000 / 1022 + steady[1] * 16000 / (2 * 256)
    assert (hertz - frequency).abs().max() < 0.01
    on_bin = torch.sin(2 * math.pi * 32 * 16000 / 1022 * time)[None]
    level = torch.expm1(SCALE * representation(on_bin)[0, 0, 32, 10:-10]) / 1e4
    assert torch.allclose(level, torch.ones_like(level), atol=1e-3)


def test_ranges_hold_for_anything():
    spectrogram = small()(torch.randn(4, 5000) * torch.tensor([[1e-6], [0.1], [1.0], [50.0]]))
    assert spectrogram[:, 0].min() >= 0
    assert spectrogram[:, 1].abs().max() <= 1


def test_differentiable_both_ways():
    representation = small()
    wave = (torch.randn(2, 1000) * 0.1).requires_grad_()
    representation.inverse(representation(wave), 1000).square().sum().backward()
    # the round trip is the identity, so the gradient of its energy is twice the sound
    assert torch.allclose(wave.grad, 2 * wave.detach(), atol=2e-3)
    silence = torch.zeros(1, 1000, requires_grad=True)
    representation(silence).sum().backward()
    assert torch.isfinite(silence.grad).all()


def test_autocast_leaves_the_signal_path_in_float32():
    representation = small()
    wave = torch.randn(1, 3000)
    with torch.autocast("cpu", torch.bfloat16):
        spectrogram = representation(wave)
        back = representation.inverse(spectrogram, 3000)
    assert spectrogram.dtype == back.dtype == torch.float32
    assert snr(wave, back) > 110


def test_refuses_what_cannot_be_inverted():
    with pytest.raises(ValueError, match="hop at most"):
        small(hop=200)
    with pytest.raises(ValueError, match="frames"):
        small(frames=1)
