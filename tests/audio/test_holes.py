"""Holes of zeros, as an interrupted copy leaves them, in the file or in the sound."""

import numpy as np
import pytest

from tests.audio.sounds import FFMPEG_FORMATS, RATE, encoded, ffmpeg_encoded, holed, noise, written
from vae2ch import audio
from vae2ch.audio.holes import hole_samples

WAVE = noise(1.0)


@pytest.fixture
def decoded(tmp_path):
    """Function that returns the samples, the seconds and the remark of contents."""

    def decode(data):
        wave, rate, remark = audio.decode(written(tmp_path / "a.x", data))
        return wave, wave.size / rate, remark

    return decode


@pytest.mark.parametrize("suffix", ["wav", "rf64", "w64", "aiff", "au", "caf"])
def test_holes_of_zeros_are_kept_with_a_remark(decoded, suffix):
    wave, _, remark = decoded(holed(encoded(WAVE, suffix=suffix), 0.4, 0.7))
    assert remark == "holes of zeros, 0.3 s in all"
    assert wave.size == WAVE.size


def test_several_holes_are_counted_together(decoded):
    data = holed(holed(encoded(noise(2.0), suffix="wav"), 0.2, 0.3), 0.5, 0.7)
    assert decoded(data)[2] == "holes of zeros, 0.6 s in all"


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "m4a", "mkv"])
def test_holes_in_compressed_files_are_passed_over_with_a_remark(decoded, suffix):
    data = ffmpeg_encoded(noise(2.0, rate=44100), suffix) if suffix in FFMPEG_FORMATS else None
    _, seconds, remark = decoded(holed(data or encoded(noise(2.0), suffix=suffix)))
    assert 0.5 < seconds < 1.95
    assert remark.startswith("damaged")
    assert f"{seconds:.1f}" in remark or f"{seconds:.3f}" in remark


@pytest.mark.parametrize("start", [0.02, 0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("length", [0.03, 0.1, 0.2])
def test_samples_beside_a_hole_in_mp3_are_no_louder_than_the_sound(decoded, start, length):
    """Frames share their bits, and decoders take others for those that are missing.

    At the beginning, where the level of the sound is not known, the limit is full scale.
    """
    data = encoded(noise(3.0, rate=44100), 44100, suffix="mp3")
    wave, _, remark = decoded(holed(data, start, start + length))
    assert remark.startswith("damaged")
    assert np.abs(wave).max() <= (1 if start < 0.1 else 1.1 * np.abs(decoded(data)[0]).max())


def faded(wave, start, end):
    """A sound that rises or falls from one level to another."""
    return wave * np.linspace(start, end, wave.size, dtype=np.float32)


PAUSE = np.zeros(RATE // 4, np.float32)


@pytest.mark.parametrize(
    "parts",
    [
        (faded(WAVE, 1, 0), PAUSE, faded(WAVE, 0, 1)),
        (WAVE, PAUSE, faded(WAVE, 0, 1)),
        (faded(WAVE, 1, 0), PAUSE, WAVE),
        (WAVE, PAUSE),
        (PAUSE, WAVE),
        (WAVE, PAUSE[:1000], WAVE),
    ],
    ids=["fades", "fade in", "fade out", "at the end", "at the beginning", "short"],
)
def test_pauses_are_no_holes(decoded, parts):
    assert decoded(encoded(np.concatenate(parts), format="WAV", subtype="FLOAT"))[2] == ""


@pytest.mark.parametrize("size", [100, 999, 1000, 4096, 5002, 7003, 100_000])  # two end just behind a hole
@pytest.mark.parametrize("hole", [3000, 5000])
def test_holes_are_counted_once_whatever_the_blocks(size, hole):
    wave = np.concatenate([WAVE[:2000], np.zeros(hole, np.float32), WAVE[:3000], np.zeros(1500, np.float32), WAVE[:9]])
    blocks = [wave[start : start + size] for start in range(0, wave.size, size)]
    assert hole_samples(blocks, float(np.abs(wave).max())) == pytest.approx(hole, abs=3)
