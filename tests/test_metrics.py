import math

import pytest
import torch

from vae2ch import metrics

TIME = torch.arange(32000) / 16000


def test_snr_of_known_noise():
    wave = torch.randn(2, 4000)
    assert torch.allclose(metrics.snr(wave, wave * 1.1), torch.full((2,), 20.0, dtype=torch.float64), atol=1e-3)
    assert metrics.snr(wave, wave).tolist() == [math.inf, math.inf]
    assert torch.allclose(metrics.snr(wave, 0 * wave), torch.zeros(2, dtype=torch.float64))


def test_log_spectral_distance_of_a_gain_is_the_gain():
    noise = torch.randn(1, 16000)
    assert metrics.log_spectral_distance(noise, noise) == 0
    assert abs(metrics.log_spectral_distance(noise, noise / 2) - 20 * math.log10(2)) < 0.01
    # below the floor nothing counts; silence is 80 dB below a flat spectrum's peak at most
    assert metrics.log_spectral_distance(noise, 0 * noise) <= 80


def test_multi_resolution_stft_tells_silence_from_the_sound():
    noise = torch.randn(16000)
    assert metrics.multi_resolution_stft(noise, noise) < 1e-5
    near, far = (metrics.multi_resolution_stft(noise, noise + level * torch.randn(16000)) for level in (0.01, 0.5))
    assert near < far < metrics.multi_resolution_stft(noise, torch.zeros(16000))
    assert torch.isfinite(metrics.multi_resolution_stft(noise[:100], noise[:100]))


@pytest.mark.parametrize("midi", [50, 69, 76.3])
def test_pitch_of_harmonic_tones(midi):
    hertz = 440 * 2 ** ((midi - 69) / 12)
    tone = sum(torch.sin(2 * math.pi * hertz * n * TIME) / n for n in range(1, 6)) / 3
    assert abs(metrics.pitch(tone, 16000).note - midi) < 0.2


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("samples", [1, 1000, 16000])
def test_no_pitch_in_silence_however_short(rate, samples):
    silence = metrics.pitch(torch.zeros(samples), rate)
    assert math.isnan(silence.note)
    assert not silence.heard.any()


def test_pitch_kept_is_the_share_of_the_frames_that_are_in_pitch():
    low, high = (sum(torch.sin(2 * math.pi * hertz * n * TIME) / n for n in range(1, 6)) / 3 for hertz in (220, 330))
    changed = torch.where(TIME < 1.5, low, high)
    whole, partly = metrics.pitch(low, 16000), metrics.pitch(changed, 16000)
    assert metrics.pitch_kept(whole, whole) == 1
    assert metrics.pitch_kept(whole, partly) == pytest.approx(0.75, abs=0.04)
    assert abs(partly.note - whole.note) < metrics.QUARTER_TONE  # most of it is
    # only where the original has a pitch: its silent end does not count
    quiet = metrics.pitch(torch.where(TIME < 1, low, 0), 16000)
    assert metrics.pitch_kept(quiet, partly) == pytest.approx(1, abs=0.04)
    assert metrics.pitch_kept(whole, quiet) == pytest.approx(0.5, abs=0.04)
    silence = metrics.pitch(0 * TIME, 16000)
    told = silence._replace(heard=torch.ones_like(silence.heard))  # of silence the track has some pitch as well
    assert metrics.pitch_kept(told, silence) == 0


def test_active_units_counts_latents_that_vary():
    means = torch.randn(500, 6) * torch.tensor([0.0, 0.01, 0.05, 0.2, 1.0, 3.0])
    assert metrics.active_units(means) == 3
    assert metrics.active_units(means + 7) == 3  # a constant offset carries nothing
    assert metrics.active_units(means[:1]) == 0
