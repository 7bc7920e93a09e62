"""Holes of equal bytes, as an interrupted copy leaves them, in the file or in the sound."""

import itertools

import numpy as np
import pytest

from tests.audio.sounds import FFMPEG_FORMATS, RATE, encoded, ffmpeg_encoded, holed, noise, written
from tests.mutations import overwritten
from vae2ch import audio
from vae2ch.audio.holes import CHUNK, SECTOR, hole_bytes, hole_samples

WAVE = noise(1.0)
REMARK = "holes, in which samples stay at one value: {:.2f} s in all"
SAMPLES_TELL = [
    *((form, "PCM_16") for form in ("WAV", "RF64", "W64", "AIFF", "AU", "CAF")),
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_24", "PCM_32", "ULAW", "ALAW")),
    *(("AIFF", subtype) for subtype in ("PCM_S8", "PCM_U8")),
]
BYTES_TELL = [
    *(("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_16")),
    ("AU", "G723_24"),
    ("AIFF", "DWVW_16"),
]


@pytest.fixture
def decoded(tmp_path):
    """Function that returns the samples, the seconds and the remark of contents."""

    def decode(data):
        wave, rate, remark = audio.decode(written(tmp_path / "a.x", data))
        return wave, wave.size / rate, remark

    return decode


@pytest.mark.parametrize(
    ("kind", "byte"), [*itertools.product(SAMPLES_TELL, (0, 255)), (("WAV", "FLOAT"), 0), (("AU", "DOUBLE"), 0)]
)
def test_holes_are_kept_with_a_remark(decoded, kind, byte):
    data = encoded(WAVE, format=kind[0], subtype=kind[1])
    wave, _, remark = decoded(holed(data, 0.4, 0.7, byte))
    found = float(remark.removeprefix(REMARK.split("{")[0]).removesuffix(" s in all"))
    assert found == pytest.approx(0.3, abs=0.05)
    assert wave.size == WAVE.size
    assert decoded(data)[2] == ""


@pytest.mark.parametrize("byte", [0, 255])
@pytest.mark.parametrize("kind", BYTES_TELL)
def test_holes_in_encoded_samples_are_kept_with_a_remark(decoded, kind, byte):
    data = encoded(noise(2.0), format=kind[0], subtype=kind[1])
    first, last = (int(len(data) * share) // SECTOR * SECTOR for share in (0.3, 0.7))
    _, seconds, remark = decoded(holed(data, 0.3, 0.7, byte))
    assert remark == f"holes, in which bytes are all 0 or all 255: {last - first} bytes in all"
    assert seconds == pytest.approx(2.0, abs=0.1)
    assert decoded(data)[2] == ""


CUT = slice(6000, 12000)
TWO = np.stack([noise(1.0, seed=seed) for seed in range(2)], axis=1)
ONE_HOLED, SHIFTED, OPPOSITE = TWO.copy(), TWO.copy(), np.stack([WAVE, -WAVE], axis=1)
ONE_HOLED[CUT, 1] = 0
SHIFTED[CUT, 0] = SHIFTED[9000:15000, 1] = OPPOSITE[CUT] = 0
OFFSET = WAVE + 0.3
OFFSET[CUT] = 0
SHAPED = {
    "one channel": (ONE_HOLED, 6000),
    "two channels, at other places": (SHIFTED, 9000),
    "channels that cancel": (OPPOSITE, 6000),
    "an offset": (OFFSET, 6000),
}


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", SHAPED)
def test_a_hole_is_found_in_any_channel_and_beside_an_offset(decoded, monkeypatch, name, kept):
    if not kept:  # as of a long sound
        monkeypatch.setattr("vae2ch.audio.attempt.MAX_KEPT_VALUES", 100)
    wave, samples = SHAPED[name]
    remark = decoded(encoded(wave, suffix="wav"))[2]
    assert REMARK.format(samples / RATE) in remark.split("; ")


def test_several_holes_are_counted_together(decoded):
    data = holed(holed(encoded(noise(2.0), suffix="wav"), 0.2, 0.3), 0.5, 0.7)
    assert decoded(data)[2] in (REMARK.format(0.6), REMARK.format(0.59))


@pytest.mark.parametrize("byte", [0, 255])
@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg", "opus", "m4a", "aac", "mkv", "wma", "ac3", "wv", "tta"])
def test_holes_in_compressed_files_are_passed_over_with_a_remark(decoded, suffix, byte):
    rate = 24000 if suffix == "opus" else RATE
    data = ffmpeg_encoded(noise(4.0, rate=44100), suffix) if suffix in FFMPEG_FORMATS else None
    data = data or encoded(noise(4.0, rate=rate), rate, suffix=suffix)
    _, seconds, remark = decoded(holed(data, 0.5, 0.7, byte))
    assert 0.5 < seconds <= 4.1
    assert remark.startswith(("damaged", "holes"))
    assert f"{seconds:.1f}" in remark or f"{seconds:.3f}" in remark or "holes" in remark


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
PULSES = np.repeat(np.float32([0.5, -0.5] * 5), 4000)


@pytest.mark.parametrize(
    "parts",
    [
        (faded(WAVE, 1, 0), PAUSE, faded(WAVE, 0, 1)),
        (WAVE, PAUSE, faded(WAVE, 0, 1)),
        (faded(WAVE, 1, 0), PAUSE, WAVE),
        (WAVE, PAUSE),
        (PAUSE, WAVE),
        (WAVE, PAUSE[:1000], WAVE),
        (WAVE, PULSES, WAVE),
    ],
    ids=["fades", "fade in", "fade out", "at the end", "at the beginning", "short", "pulses"],
)
def test_pauses_and_pulses_are_no_holes(decoded, parts):
    assert decoded(encoded(np.concatenate(parts), format="WAV", subtype="FLOAT"))[2] == ""


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "G721_32"])
def test_silence_of_a_codec_is_no_hole(decoded, subtype):
    for samples in (20000, 20100, 21024):
        wave = np.concatenate([WAVE, np.zeros(samples, np.float32), WAVE])
        remark = decoded(encoded(wave, format="WAV", subtype=subtype))[2]
        assert "bytes" not in remark


@pytest.mark.parametrize("size", [100, 999, 1000, 4096, 5002, 7003, 100_000])  # two end just behind a hole
@pytest.mark.parametrize("hole", [3000, 5000])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_holes_are_counted_once_whatever_the_blocks(size, hole, value):
    missing, pause = np.full(hole, value, np.float32), np.zeros(1500, np.float32)
    wave = np.concatenate([WAVE[:2000], missing, WAVE[:3000], pause, WAVE[:9]])[:, None]
    blocks = [wave[start : start + size] for start in range(0, wave.size, size)]
    assert hole_samples(blocks, float(np.abs(wave).max())) == hole


@pytest.mark.parametrize("place", [0, 1, 30_000, (1 << 16) - 3000, (1 << 16) - 1024, (1 << 16) - 5])
def test_a_hole_of_the_smallest_size_is_noticed_wherever_it_lies(place, tmp_path):
    wave = np.concatenate([noise(0.1), noise(6.0)])
    wave[place + 2000 : place + 4100] = 0
    path = written(tmp_path / "a.wav", encoded(wave, format="WAV", subtype="FLOAT"))
    assert "holes" in audio.decode(path)[2]


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(8, 20, 12), (0, 20, 0), (8, 11, 0), (8, 12, 4), (2047, 2060, 13)]
)
def test_whole_sectors_of_one_byte_are_holes(start, end, expected, tmp_path):
    sound = np.random.default_rng(0).bytes(CHUNK + 100 * SECTOR + 77)
    for byte in (0, 255):
        for shift in (0, 100):
            data = overwritten(sound, start * SECTOR + shift, bytes([byte]) * ((end - start) * SECTOR))
            assert hole_bytes(written(tmp_path / "a", data)) == (0 if shift else expected * SECTOR)


def test_most_sounds_are_not_searched_for_holes(tmp_path, monkeypatch):
    monkeypatch.setattr("vae2ch.audio.recording.hole_samples", None)
    monkeypatch.setattr("vae2ch.audio.recording.hole_bytes", None)
    for form, subtype in (("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16")):
        audio.open_recording(written(tmp_path / "a.x", encoded(WAVE, format=form, subtype=subtype)))
