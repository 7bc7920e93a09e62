import math
from dataclasses import replace

import pytest
import torch

from tests.helpers import REPRESENTATIONS, SMALL, shipped_representation, signals, small_representation
from vae2ch.metrics import snr
from vae2ch.representation import LOG_SCALE, MIN_LEVEL, Representation, compress, expand


def sine(representation, frequency, amplitude=1.0):
    """One segment  [1, S]"""
    time = torch.arange(representation.segment) / representation.sample_rate
    return amplitude * torch.sin(2 * math.pi * frequency * time)[None]


def bin_centre(representation, number):
    return number * representation.sample_rate / representation.n_fft


def loudest_amplitude(representation, spectrogram):
    """Amplitude of the loudest bin re full scale, by the formula of channel 0  [B]"""
    return torch.expm1(2 * spectrogram[:, 0].amax(dim=(-2, -1)).double()) / representation.gain


@pytest.mark.parametrize("option", REPRESENTATIONS)
def test_round_trip_is_exact(option):
    representation = shipped_representation(option)
    for name, wave in signals(representation.sample_rate).items():
        spectrogram, level = representation(wave[None])
        back = representation.inverse(spectrogram, level, wave.numel())[0]
        assert back.shape == wave.shape, name
        assert snr(wave, back) > 110, (name, float(snr(wave, back)))


def test_level_is_the_amplitude_of_a_sine():
    representation = shipped_representation("16k")
    _, level = representation(sine(representation, bin_centre(representation, 40), 0.5))
    assert level.shape == (1,)
    assert float(level) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("option", REPRESENTATIONS)
def test_the_loudest_bin_is_at_full_scale(option):
    representation = shipped_representation(option)
    for name, wave in signals(representation.sample_rate).items():
        spectrogram, level = representation(wave[None])
        if level > MIN_LEVEL:
            assert float(loudest_amplitude(representation, spectrogram)) == pytest.approx(1, rel=1e-4), name
        else:
            assert loudest_amplitude(representation, spectrogram) < 1, name


def test_level_is_that_of_the_loudest_bin_of_each_sound():
    representation = small_representation()
    wave = torch.randn(3, 5000) * torch.tensor([0.01, 0.3, 2.0])[:, None]
    _, level = representation(wave)
    padded = torch.nn.functional.pad(wave, (0, -5000 % 64))
    loudest = representation.stft(padded).abs().amax(dim=(1, 2))
    assert torch.allclose(level, loudest / torch.hann_window(254).sum() * 2, rtol=1e-5)


@pytest.mark.parametrize("factor", [30.0, 0.1, 1e-3])
def test_scaling_a_sound_scales_only_its_level(factor):
    representation = shipped_representation("16k")
    wave = sine(representation, 700.0, 0.5) + 0.01 * torch.randn(1, representation.segment)
    spectrogram, level = representation(wave)
    scaled_spectrogram, scaled_level = representation(factor * wave)
    assert torch.allclose(scaled_level, factor * level, rtol=1e-5)
    assert torch.allclose(scaled_spectrogram[:, 0], spectrogram[:, 0], atol=1e-3)
    difference = (scaled_spectrogram[:, 1] - spectrogram[:, 1])[spectrogram[:, 0] > 1]
    assert (difference / 2 - (difference / 2).round()).abs().max() < 2e-3


def test_level_is_limited_from_below():
    representation = shipped_representation("16k")
    wave = sine(representation, bin_centre(representation, 40), MIN_LEVEL / 20)
    spectrogram, level = representation(wave)
    assert float(level) == pytest.approx(MIN_LEVEL)
    assert float(loudest_amplitude(representation, spectrogram)) == pytest.approx(0.05, rel=0.01)
    assert float(representation(0 * wave).level) == pytest.approx(MIN_LEVEL)


def test_peak_gain_is_the_amplitude_of_the_loudest_bin():
    representation = small_representation()
    wave, gain = torch.randn(3, 5000) * 0.1, torch.tensor([0.5, 1.0, 2.0])
    spectrogram, level = representation(wave, gain)
    plain_spectrogram, plain_level = representation(wave)
    assert torch.allclose(loudest_amplitude(representation, spectrogram).float(), gain, rtol=1e-4)
    assert torch.allclose(level, plain_level / gain)
    assert torch.equal(spectrogram[:, 1], plain_spectrogram[:, 1])
    assert snr(wave, representation.inverse(spectrogram, level, 5000)).min() > 110


def test_inverse_is_linear_in_the_level():
    representation = small_representation()
    spectrogram, level = representation(torch.randn(2, 5000))
    plain = representation.inverse(spectrogram, level)
    factor = torch.tensor([0.5, 4.0])
    assert torch.equal(representation.inverse(spectrogram, factor * level), factor[:, None] * plain)


def test_silence_stays_silent():
    representation = small_representation()
    assert torch.equal(representation.inverse(*representation(torch.zeros(2, 5000)), 5000), torch.zeros(2, 5000))


def test_expand_is_the_inverse_of_compress():
    amplitude = torch.logspace(-6, 5, 200, dtype=torch.float64)
    assert torch.allclose(compress(amplitude), torch.log(1 + amplitude) / LOG_SCALE)
    assert torch.allclose(expand(compress(amplitude)), amplitude)
    assert torch.allclose(expand(torch.zeros(1)), torch.zeros(1))


def test_magnitude_is_that_of_the_stft_at_level_1():
    representation = small_representation()
    wave = torch.randn(1, 64 * 40)
    spectrogram, level = representation(wave)
    expected = representation.stft(wave).abs() / level
    assert torch.allclose(representation.magnitude(spectrogram[:, 0]), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("option", REPRESENTATIONS)
def test_a_segment_of_a_shipped_representation_needs_no_padding(option):
    representation = shipped_representation(option)
    spectrogram, _ = representation(torch.randn(3, representation.segment))
    assert spectrogram.shape == (3, 2, *representation.size)
    assert representation.size.bins % 32 == 0
    assert representation.size.frames % 32 == 0


@pytest.mark.parametrize(("samples", "frames"), [(1, 2), (64, 2), (65, 3), (640, 11), (641, 12)])
def test_number_of_frames_for_any_length(samples, frames):
    assert small_representation()(torch.randn(2, samples)).spectrogram.shape == (2, 2, 128, frames)


def test_both_channels_agree_with_a_discrete_fourier_transform():
    """Written out as a sum, in float64."""
    representation = small_representation()
    wave = torch.randn(1, 64 * 9, dtype=torch.float64)
    padded = torch.nn.functional.pad(wave, (127, 127))[0]
    time = torch.arange(254, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * time / 254)
    bins = torch.arange(128, dtype=torch.float64)
    basis = torch.polar(torch.ones(128, 254, dtype=torch.float64), -2 * math.pi * bins[:, None] * time / 254)
    frames = torch.stack([padded[t * 64 : t * 64 + 254] * window for t in range(10)])
    spectrum = (basis[None] @ frames[..., None].to(basis.dtype))[..., 0].T  # [F, T]
    amplitude = spectrum.abs() / (window.sum() / 2)
    log_magnitude = torch.log1p(1e4 * amplitude / amplitude.max()) / 2
    advance = torch.angle(spectrum[:, 1:] * spectrum[:, :-1].conj()) - (2 * math.pi * bins * 64 / 254)[:, None]
    spectrogram, level = representation(wave)
    found = spectrogram[0].double()
    assert torch.allclose(level.double(), amplitude.max(), rtol=1e-5)
    assert torch.allclose(found[0], log_magnitude, atol=1e-5)
    turns = (found[1, :, 1:] - advance / math.pi) / 2
    assert (turns - turns.round()).abs().max() < 1e-4
    first = (found[1, :, 0] - spectrum[:, 0].angle() / math.pi) / 2
    assert (first - first.round()).abs().max() < 1e-4


@pytest.mark.parametrize("frequency", [440.0, 1000.0, 3210.0])
def test_instantaneous_frequency_of_a_sine(frequency):
    """In the nearest bin, the centre plus the deviation is the frequency of the sine."""
    representation = shipped_representation("16k")
    spectrogram, _ = representation(sine(representation, frequency, 0.5))
    nearest = round(frequency * 1022 / 16000)
    hertz = nearest * 16000 / 1022 + spectrogram[0, 1, nearest, 10:-10] * 16000 / (2 * 256)
    assert (hertz - frequency).abs().max() < 0.01


def test_log_magnitude_of_a_sine():
    representation = shipped_representation("16k")
    spectrogram, level = representation(sine(representation, bin_centre(representation, 32)))
    amplitude = level * torch.expm1(2 * spectrogram[0, 0, 32, 10:-10]) / 1e4
    assert torch.allclose(amplitude, torch.ones_like(amplitude), atol=1e-3)


def test_channels_keep_their_ranges():
    loud = torch.tensor([[1e-6], [0.1], [1.0], [50.0]])
    spectrogram, _ = small_representation()(torch.randn(4, 5000) * loud)
    assert spectrogram[:, 0].min() >= 0
    assert spectrogram[:, 1].abs().max() <= 1


def test_forward_and_inverse_are_differentiable():
    representation = small_representation()
    wave = (torch.randn(2, 1000) * 0.1).requires_grad_()
    representation.inverse(*representation(wave), 1000).square().sum().backward()
    # the round trip is the identity, so the gradient of its energy is twice the sound
    assert torch.allclose(wave.grad, 2 * wave.detach(), atol=2e-3)
    silence = torch.zeros(1, 1000, requires_grad=True)
    representation(silence).spectrogram.sum().backward()
    assert torch.isfinite(silence.grad).all()


def test_autocast_leaves_both_directions_in_float32():
    representation = small_representation()
    wave = torch.randn(1, 3000)
    with torch.autocast("cpu", torch.bfloat16):
        spectrogram, level = representation(wave)
        back = representation.inverse(spectrogram, level, 3000)
    assert spectrogram.dtype == level.dtype == back.dtype == torch.float32
    assert snr(wave, back) > 110


@pytest.mark.parametrize("changes", [{"hop": 128}, {"hop": 0}, {"n_fft": 255}])
def test_a_transform_without_inverse_is_refused(changes):
    with pytest.raises(ValueError, match=r"n_fft must be even .*hop at most half"):
        Representation(replace(SMALL, **changes))
