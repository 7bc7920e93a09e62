import math

import pytest
import torch

from vae2ch import metrics

RATE = 16000
TIME = torch.arange(32000) / RATE


def harmonic(hertz):
    """Five harmonics  [S]"""
    return sum(torch.sin(2 * math.pi * hertz * n * TIME) / n for n in range(1, 6)) / 3


@pytest.fixture(scope="module")
def pitches():
    """Pitches of sounds of two seconds, by name."""
    low, high = harmonic(220), harmonic(330)
    sounds = {
        "low": low,
        "low, then high": torch.where(TIME < 1.5, low, high),
        "low, then silence": torch.where(TIME < 1, low, 0),
        "silence": 0 * low,
    }
    return {name: metrics.pitch(wave, RATE) for name, wave in sounds.items()}


def test_snr_of_known_noise():
    wave = torch.randn(2, 4000)
    assert torch.allclose(metrics.snr(wave, wave * 1.1), torch.full((2,), 20.0, dtype=torch.float64), atol=1e-3)
    assert metrics.snr(wave, wave).tolist() == [math.inf, math.inf]
    assert torch.allclose(metrics.snr(wave, 0 * wave), torch.zeros(2, dtype=torch.float64))


def test_log_spectral_distance_of_a_gain_is_the_gain():
    noise = torch.randn(1, 16000)
    assert metrics.log_spectral_distance(noise, noise) == 0
    assert abs(metrics.log_spectral_distance(noise, noise / 2) - 20 * math.log10(2)) < 0.01


def test_log_spectral_distance_is_limited_by_the_floor():
    noise = torch.randn(1, 16000)
    assert 40 < metrics.log_spectral_distance(noise, 0 * noise) <= 80
    assert 10 < metrics.log_spectral_distance(noise, 0 * noise, floor_db=30) <= 30


def test_multi_resolution_stft_grows_with_the_noise():
    wave = torch.randn(16000)
    assert metrics.multi_resolution_stft(wave, wave) < 1e-5
    little, much = (metrics.multi_resolution_stft(wave, wave + level * torch.randn(16000)) for level in (0.01, 0.5))
    assert little < much < metrics.multi_resolution_stft(wave, torch.zeros(16000))
    assert torch.isfinite(metrics.multi_resolution_stft(wave[:100], wave[:100]))


@pytest.mark.parametrize("midi", [50, 69, 76.3])
def test_median_pitch_of_harmonic_tones(midi):
    assert abs(metrics.pitch(harmonic(440 * 2 ** ((midi - 69) / 12)), RATE).median - midi) < 0.2


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("samples", [1, 1000, 16000])
def test_silence_of_any_length_has_no_pitch(rate, samples):
    found = metrics.pitch(torch.zeros(samples), rate)
    assert math.isnan(found.median)
    assert not found.voiced.any()


def test_raw_pitch_accuracy_is_the_fraction_of_frames_in_pitch(pitches):
    low, changed = pitches["low"], pitches["low, then high"]
    assert metrics.raw_pitch_accuracy(low, low) == 1
    assert metrics.raw_pitch_accuracy(low, changed) == pytest.approx(0.75, abs=0.04)


def test_raw_pitch_accuracy_counts_voiced_frames_of_the_original_only(pitches):
    short, changed = pitches["low, then silence"], pitches["low, then high"]
    assert metrics.raw_pitch_accuracy(short, changed) == pytest.approx(1, abs=0.04)


def test_pitch_is_measured_apart_from_voicing(pitches):
    """A pitch that is right counts as right though it is not confident; how often it is confident is the recall."""
    low = pitches["low"]
    unvoiced = low._replace(voiced=torch.zeros_like(low.voiced), median=math.nan)
    assert metrics.raw_pitch_accuracy(low, unvoiced) == 1
    assert metrics.same_note(low, unvoiced)
    assert metrics.voicing_recall(low, unvoiced) == 0
    assert metrics.voicing_recall(low, low) == 1
    assert metrics.voicing_recall(low, pitches["low, then silence"]) == pytest.approx(0.5, abs=0.04)


def test_same_note_compares_median_pitches(pitches):
    low = pitches["low"]
    assert metrics.same_note(low, pitches["low, then high"])  # most of it is low
    assert metrics.same_note(low, low._replace(track=low.track + 0.4))
    assert not metrics.same_note(low, low._replace(track=low.track - 0.6))
    assert not metrics.same_note(low, pitches["silence"])


def test_score_has_all_measures_of_an_estimate(pitches):
    low = harmonic(220)
    found = metrics.score(low, 0.5 * low, RATE, pitches["low"])
    assert set(found) == {
        "snr",
        "log_spectral_distance",
        "multi_resolution_stft",
        "note_accuracy",
        "raw_pitch_accuracy",
        "voicing_recall",
    }
    assert found["snr"] == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert found["note_accuracy"] == found["raw_pitch_accuracy"] == found["voicing_recall"] == 1
    assert found["log_spectral_distance"] == float(metrics.log_spectral_distance(low[None], 0.5 * low[None]))
    assert metrics.score(low, harmonic(330), RATE, pitches["low"])["note_accuracy"] == 0


def test_score_has_no_pitch_measures_of_a_sound_without_pitch(pitches):
    noise = torch.randn(32000)
    assert set(metrics.score(noise, noise, RATE, pitches["silence"])) == {
        "snr",
        "log_spectral_distance",
        "multi_resolution_stft",
    }


def test_active_units_is_the_number_of_latents_that_vary():
    means = torch.randn(500, 6) * torch.tensor([0.0, 0.01, 0.05, 0.2, 1.0, 3.0])
    assert metrics.active_units(means) == 3
    assert metrics.active_units(means + 7) == 3  # a DC offset is no variation
    assert metrics.active_units(means[:1]) == 0
