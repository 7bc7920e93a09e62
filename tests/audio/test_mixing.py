import re

import numpy as np
import pytest

from tests.audio.sounds import encoded, kick, noise, tone, written
from vae2ch import audio
from vae2ch.audio import attempt

RATE = 22050
WAV = {"format": "WAV", "subtype": "FLOAT"}
STEP = 2.0**-15  # of 16 bits


@pytest.fixture
def decoded(tmp_path):
    """Function that returns what ``decode`` makes of samples in a file: mono samples and the remark."""

    def decode(wave, **options):
        path = written(tmp_path / "a.wav", encoded(wave, RATE, **(options or WAV)))
        found, _, remark = audio.decode(path)
        return found, remark

    return decode


@pytest.fixture
def silence(tmp_path):
    """Function that returns why samples in a file are no sound."""

    def reason(wave, **options):
        return audio.open_recording(written(tmp_path / "a.wav", encoded(wave, RATE, **(options or WAV)))).silence

    return reason


def channels(*waves):
    return np.stack(waves, axis=1)


def dither(seed, count):
    return (np.random.default_rng(seed).integers(-1, 2, count) * STEP).astype(np.float32)


def assert_channel_taken(found, remark, wave, tolerance=0.0):
    """Assert that one channel is used, up to its sign and its level."""
    number = re.fullmatch(r"its channels cancel each other: channel (\d) is used instead of their mean", remark)
    assert number, remark
    assert np.abs(found - wave[:, int(number[1]) - 1]).max() <= tolerance


X = tone(1.0, 330)
HALF = np.where(np.arange(X.size) < X.size // 2, -1, 1).astype(np.float32)
THIRD = np.where(np.arange(X.size) % (X.size // 2) < X.size // 6, -1, 1).astype(np.float32)
CANCELLING = {
    "exact": channels(X, -X),
    "with dither": channels(X + dither(1, X.size), -X + dither(2, X.size)),
    "in the first half": channels(X, HALF * X),
    "in the second half": channels(X, -HALF * X),
    "in two places": channels(X, THIRD * X),
    "other levels": channels(X, -0.8 * X),
    "the second one louder": channels(-0.75 * X, X),
    "three channels": channels(X, -X, 0 * X),
    "three phases": channels(*(0.5 * np.sin(2 * np.pi * (330 * np.arange(RATE) / RATE + k / 3)) for k in range(3))),
    "four channels": channels(X, -X, X, -X),
    "noise": channels(noise(1.0), -noise(1.0)),
    "a pause of zeros": channels(X * (HALF > 0), -X * (HALF > 0)),
    "a little that is common": channels(X + noise(1.0, 0.005), noise(1.0, 0.005) - X),
    "a few milliseconds": channels(X[:400], -X[:400]),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_channels_that_cancel_are_noticed_and_one_is_taken(decoded, name):
    wave = CANCELLING[name].astype(np.float32)
    found, remark = decoded(wave)
    assert_channel_taken(found, remark, wave)


def test_the_loudest_channel_is_taken(decoded):
    assert "channel 2" in decoded(channels(-0.8 * X, X))[1]
    assert "channel 1" in decoded(channels(X, -0.8 * X, 0 * X))[1]


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"format": "WAV", "subtype": "PCM_U8"}, 1 / 127),
        ({"format": "WAV", "subtype": "ULAW"}, 0.02),
        ({"format": "FLAC", "subtype": "PCM_24"}, 1e-6),
        ({"format": "OGG", "subtype": "VORBIS"}, 0.05),
        ({"format": "MP3", "subtype": "MPEG_LAYER_III"}, 0.05),
    ],
)
def test_channels_that_cancel_are_noticed_in_other_formats(decoded, options, tolerance):
    wave = channels(X, -X)
    found, remark = decoded(wave, **options)
    assert_channel_taken(found[1000:20000], remark, wave[1000:20000], tolerance)


def test_an_offset_does_not_hide_that_channels_cancel(decoded):
    found, remark = decoded(channels(X + 0.1, -X + 0.1))
    assert "its channels cancel each other" in remark
    assert re.search(r"a DC offset of (0\.1|0\.099) is removed", remark)
    assert min(np.abs(found - X).max(), np.abs(found + X).max()) < 2e-3


A, B = noise(1.0, seed=1), noise(1.0, seed=2)
WIDE = {
    "unrelated": channels(A, B),
    "as much side as middle": channels(A + B, A - B),
    "twice as much side": channels(A + 2 * B, A - 2 * B) / 4,
    "one channel silent": channels(A, 0 * A),
    "delayed": channels(A, np.roll(A, 220)),
    "detuned": channels(tone(1.0, 330), tone(1.0, 333)),
    "three channels": channels(A, -A, B),
    "equal": channels(A, A),
    "half the level, inverted": channels(A, -0.5 * A),
    "cancelling for a moment": channels(A, np.where(np.arange(A.size) < 2048, -A, A)),
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_channels_that_do_not_cancel_stay_their_mean_sample_for_sample(decoded, name):
    wave = WIDE[name].astype(np.float32)
    found, remark = decoded(wave)
    assert remark == ""
    assert np.array_equal(found, wave.mean(axis=1))


def test_noise_that_cancels_in_a_pause_is_no_reason(decoded):
    quiet = dither(3, RATE)
    wave = np.concatenate([channels(quiet, -quiet), channels(X, 0.5 * X)])
    found, remark = decoded(wave)
    assert remark == ""
    assert np.array_equal(found, wave.mean(axis=1))


def test_samples_of_several_passes_are_those_of_one(tmp_path, monkeypatch):
    path = written(tmp_path / "a.wav", encoded(channels(X + 0.1, -X + 0.1), RATE, **WAV))
    once = audio.decode(path)
    monkeypatch.setattr(attempt, "MAX_KEPT_VALUES", 100)
    twice = audio.decode(path)
    assert np.array_equal(once[0], twice[0])
    assert once[2] == twice[2] != ""


FADED = tone(1.0, 300) * np.exp(-4 * np.arange(RATE) / RATE).astype(np.float32)


@pytest.mark.parametrize("offset", [0.3, 0.05, 0.01, -0.05])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_constant_offset_is_removed_with_a_remark(decoded, offset, subtype):
    found, remark = decoded(FADED + offset, format="WAV", subtype=subtype)
    (number,) = re.fullmatch(r"a DC offset of (\S+) is removed", remark).groups()
    assert float(number) == pytest.approx(offset, abs=1e-3)
    assert np.abs(found - FADED).max() < 1e-3


@pytest.mark.parametrize(
    ("wave", "offset"),
    [
        (noise(1.0) + 0.1, 0.1),
        (tone(1.0, 220) + 0.05, 0.05),
        (tone(1.0, 407) + 0.1, 0.1),
        (np.concatenate([tone(0.2), np.zeros(2 * RATE)]) + 0.01, 0.01),
        (np.concatenate([FADED[:2205], np.zeros(RATE) + 0.01]), 0.01),
        (0.01 * noise(1.0) + 0.9, 0.9),
        (channels(noise(1.0) + 0.1, noise(1.0)), 0.05),
    ],
    ids=["noise", "low tone", "tone", "a note and a pause", "a note without offset", "near full scale", "one channel"],
)
def test_offsets_of_other_sounds_are_removed(decoded, wave, offset):
    found, remark = decoded(wave)
    (number,) = re.fullmatch(r"a DC offset of (\S+) is removed", remark).groups()
    assert float(number) == pytest.approx(offset, rel=0.1)
    assert abs(np.median(found)) < 0.1 * offset


def test_an_offset_of_several_steps_of_eight_bits_is_removed(decoded):
    found, remark = decoded(FADED + 6 / 128, format="WAV", subtype="PCM_U8")
    assert "offset of 0.04" in remark
    assert np.abs(found - FADED).max() < 2 / 128


def test_half_a_step_of_eight_bits_is_no_offset(decoded):
    """Some converters leave it, and 8 bits have no finer zero."""
    found, remark = decoded(FADED, format="WAV", subtype="PCM_U8")
    assert remark == ""
    assert np.abs(found - FADED).max() <= 1 / 128


@pytest.mark.parametrize(
    "wave",
    [
        kick(1.0),
        kick(0.2),
        kick(0.03),
        np.abs(FADED),
        tone(1.0, 5),
        (noise(1.0) + 0.1) * np.linspace(1, 0, RATE, dtype=np.float32),
        np.concatenate([noise(0.5) + 0.1, np.zeros(RATE // 2, np.float32)]),
        noise(1.0),
    ],
    ids=["kick", "short kick", "click", "rectified", "5 Hz", "faded", "gated", "noise"],
)
def test_a_mean_that_is_no_constant_offset_stays(decoded, wave):
    found, remark = decoded(wave)
    assert np.array_equal(found, wave)
    assert "offset" not in remark


@pytest.mark.parametrize(
    ("wave", "subtype", "reason"),
    [
        (np.zeros(RATE), "PCM_16", "silent"),
        (np.zeros(1), "FLOAT", "silent"),
        (np.zeros((RATE, 2)), "PCM_24", "silent"),
        (np.zeros(RATE) + 0.01, "FLOAT", "holds no sound, only a constant of 0.01"),
        (np.zeros(RATE) - 0.5, "PCM_16", "holds no sound, only a constant of -0.5"),
        (dither(1, RATE), "PCM_16", "holds no sound, only quantisation noise of 16 bits"),
        (dither(1, RATE) / 256, "PCM_24", "holds no sound, only quantisation noise of 24 bits"),
        (dither(1, RATE) * 256, "PCM_U8", "holds no sound, only quantisation noise of 8 bits"),
        (np.abs(dither(1, RATE)), "PCM_16", "holds no sound, only quantisation noise of 16 bits"),
        (dither(1, RATE) + 0.25, "PCM_16", "holds no sound, only quantisation noise of 16 bits"),
        (channels(dither(1, RATE), -dither(1, RATE)), "PCM_16", "only quantisation noise of 16 bits"),
    ],
    ids=["zeros", "one", "stereo", "constant", "negative", "16", "24", "8", "unsigned", "offset", "cancelling"],
)
def test_what_holds_no_sound_is_named(silence, wave, subtype, reason):
    assert reason in silence(wave, format="WAV", subtype=subtype)


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "aiff"])
def test_silence_is_named_in_other_formats(silence, suffix):
    assert silence(np.zeros(RATE), suffix=suffix) == "silent"


@pytest.mark.parametrize(
    ("wave", "subtype"),
    [
        (tone(0.5, level=4 * STEP), "PCM_16"),
        (dither(1, RATE), "PCM_24"),
        (1e-4 * noise(0.5), "FLOAT"),
        (np.eye(1, RATE, 99)[0], "PCM_16"),
    ],
    ids=["quiet tone", "finer steps", "quiet floats", "click"],
)
def test_quiet_sounds_are_sounds(silence, wave, subtype):
    assert silence(wave, format="WAV", subtype=subtype) == ""
