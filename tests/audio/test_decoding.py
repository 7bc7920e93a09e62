"""Samples of intact files: the same in one pass of blocks as in one read of the whole, in every format."""

import io
import os

import numpy as np
import pytest
import soundfile

from tests.audio.sounds import (
    FFMPEG_FORMATS,
    FORMATS,
    RATE,
    encoded,
    ffmpeg_encoded,
    noise,
    of_unknown_length,
    tone,
    written,
)
from vae2ch import audio
from vae2ch.audio import DecodingError, UnreadableError, attempt, ffmpeg, libsndfile

LOSSLESS = [
    ("wav", "WAV", "PCM_16", 1e-4),
    ("wav", "WAV", "PCM_24", 1e-6),
    ("wav", "WAV", "PCM_U8", 1e-2),
    ("wav", "WAV", "FLOAT", 0),
    ("wav", "WAVEX", "PCM_24", 1e-6),
    ("flac", "FLAC", "PCM_16", 1e-4),
    ("aiff", "AIFF", "PCM_16", 1e-4),
    ("w64", "W64", "PCM_24", 1e-6),
    ("rf64", "RF64", "PCM_24", 1e-6),
    ("caf", "CAF", "ALAC_16", 1e-4),
    ("au", "AU", "PCM_24", 1e-6),
    ("voc", "VOC", "PCM_16", 1e-4),
]
LOW_RATE = {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": 0.99}
BLOCKS = 1000  # samples, so that short sounds have many blocks


@pytest.mark.parametrize(("suffix", "form", "subtype", "error"), LOSSLESS)
def test_lossless_formats_decode_to_the_same_samples(tmp_path, suffix, form, subtype, error):
    path = written(tmp_path / f"a sound, ünïcode.{suffix}", encoded(tone(), format=form, subtype=subtype))
    wave, rate, remark = audio.decode(path)
    assert (wave.dtype, rate, remark) == (np.float32, RATE, "")
    assert wave.shape == tone().shape
    assert np.abs(wave - tone()).max() <= error


def assert_same_tone(wave, rate):
    """Assert that the middle of a tone has its level and its pitch, without the delay that some encoders add."""
    middle = wave[2000:8000]
    assert abs(middle.std() / tone(rate=rate)[2000:8000].std() - 1) < 0.1
    assert abs(np.abs(np.fft.rfft(middle)).argmax() * rate / 6000 - 440) < rate / 6000


@pytest.mark.parametrize(("suffix", "rate"), [("ogg", RATE), ("mp3", RATE), ("opus", 48000)])
def test_lossy_formats_decode_to_the_same_level_and_pitch(tmp_path, suffix, rate):
    path = written(tmp_path / f"a sound.{suffix.upper()}", encoded(tone(rate=rate), rate, suffix=suffix))
    wave, found, remark = audio.decode(path)
    assert (wave.dtype, found, remark) == (np.float32, rate, "")
    assert_same_tone(wave, rate)


@pytest.mark.parametrize("suffix", FFMPEG_FORMATS)
def test_formats_of_ffmpeg_decode_to_the_same_level_pitch_and_length(tmp_path, suffix):
    path = written(tmp_path / f"a sound.{suffix}", ffmpeg_encoded(tone(rate=44100), suffix))
    wave, rate, remark = audio.decode(path)
    assert (wave.dtype, rate, remark) == (np.float32, 44100, "")
    assert_same_tone(wave, 44100)
    assert abs(wave.size - 22050) < 3000


def test_a_sound_of_a_few_milliseconds_is_read_in_every_format(tmp_path):
    for suffix in ("wav", "flac", "aiff", "mp3", "ogg"):
        wave, _, remark = audio.decode(written(tmp_path / f"a.{suffix}", encoded(noise(0.03), suffix=suffix)))
        assert (wave.size, remark) == (int(0.03 * RATE), "")
    for suffix in ("m4a", "tta", "mkv"):
        assert audio.decode(written(tmp_path / f"a.{suffix}", ffmpeg_encoded(noise(0.03, rate=44100), suffix)))[0].any()


def test_channels_are_averaged_to_mono(tmp_path):
    left, right = tone(), tone(hertz=660)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right, 0 * left], axis=1), RATE, subtype="FLOAT")
    assert np.allclose(audio.decode(tmp_path / "a.wav")[0], (left + right) / 3, atol=1e-6)


def test_video_is_read_for_its_sound(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 16
        sound = container.add_stream("flac", rate=44100, layout="mono")
        for number in range(5):
            picture = av.VideoFrame(16, 16, "yuv420p")
            picture.pts = number
            container.mux(video.encode(picture))
        wave = (tone(rate=44100) * 2**15).astype(np.int16)
        for start in range(0, wave.size, 4096):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 4096], format="s16", layout="mono")
            frame.rate, frame.pts = 44100, start
            container.mux(sound.encode(frame))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    found, rate, _ = audio.decode(tmp_path / "a.mkv")
    assert rate == 44100
    assert np.abs(found - tone(rate=44100)).max() < 1e-4


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_video_without_sound_is_named_so(tmp_path, suffix):
    import av

    with av.open(str(tmp_path / f"a.{suffix}"), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 16
        for number in range(5):
            picture = av.VideoFrame(16, 16, "yuv420p")
            picture.pts = number
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    with pytest.raises(DecodingError, match="has no sound track"):
        audio.decode(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("suffix", [*FORMATS, "low rate"])
@pytest.mark.parametrize("channels", [1, 2])
def test_one_pass_gives_the_samples_of_one_read_of_the_whole(tmp_path, monkeypatch, suffix, channels):
    monkeypatch.setattr(libsndfile, "BLOCK_SAMPLES", BLOCKS)
    rate = 48000 if suffix == "opus" else 44100
    wave = np.stack([noise(0.5, rate=rate, seed=seed) for seed in range(channels)], axis=1)
    data = encoded(wave, rate, **(LOW_RATE if suffix == "low rate" else {"suffix": suffix}))
    whole = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].mean(axis=1)
    found, _, remark = audio.decode(written(tmp_path / "a.wav", data))
    assert np.array_equal(found, whole)
    assert remark == ""


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0])
def test_flac_of_unknown_length_is_read_whole(tmp_path, monkeypatch, seconds):
    """Its last block was lost, or the file refused, when blocks were sought."""
    monkeypatch.setattr(libsndfile, "BLOCK_SAMPLES", BLOCKS)
    data = encoded(noise(seconds), suffix="flac")
    whole = audio.decode(written(tmp_path / "a.flac", data))
    piped = audio.decode(written(tmp_path / "b.flac", of_unknown_length(data)))
    assert whole[0].size == int(seconds * RATE)
    assert np.array_equal(piped[0], whole[0])
    assert piped[1:] == whole[1:] == (RATE, "")


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg", "m4a", "mkv", "unclosed"])
def test_a_long_file_is_read_twice_with_the_same_samples(tmp_path, monkeypatch, suffix):
    """What is too long to be kept in memory is decoded again, in blocks."""
    monkeypatch.setattr(libsndfile, "BLOCK_SAMPLES", BLOCKS)
    monkeypatch.setattr(ffmpeg, "MIN_BLOCK_VALUES", BLOCKS)
    wave = noise(0.5, rate=44100) + 0.2
    if suffix in FFMPEG_FORMATS:
        data = ffmpeg_encoded(wave, suffix)
    else:
        data = encoded(wave, 44100, suffix=suffix.replace("unclosed", "au"))
        data = data[:8] + bytes(4) + data[12:] if suffix == "unclosed" else data
    path = written(tmp_path / "a.x", data)
    once = audio.decode(path)
    monkeypatch.setattr(attempt, "MAX_KEPT_VALUES", 5 * BLOCKS)
    found = audio.open_recording(path)
    blocks = list(found.blocks())
    assert len(blocks) > 10
    assert max(block.size for block in blocks) <= 3 * BLOCKS
    assert np.array_equal(np.concatenate(blocks), once[0])
    assert np.array_equal(np.concatenate(list(found.blocks())), once[0])  # any number of times
    assert found.remark == once[2]
    if suffix != "m4a":  # which begins with zeros, as no program has removed the delay of its encoder
        assert "a DC offset of 0.2 is removed" in found.remark


def test_a_long_damaged_file_is_read_twice_with_the_same_samples(tmp_path, monkeypatch):
    data = encoded(noise(1.0), suffix="flac")
    path = written(tmp_path / "a.flac", data[: len(data) // 2])
    monkeypatch.setattr(libsndfile, "BLOCK_SAMPLES", BLOCKS)
    once = audio.decode(path)
    monkeypatch.setattr(attempt, "MAX_KEPT_VALUES", BLOCKS)
    twice = audio.decode(path)
    assert once[0].size > 5 * BLOCKS
    assert np.array_equal(once[0], twice[0])
    assert once[2] == twice[2] != ""


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
def test_resampling_keeps_pitch_level_and_duration(rate):
    wave = audio.resample(tone(1.0), RATE, rate)
    assert abs(wave.size - rate) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(wave.size) / rate)
    middle = slice(rate // 4, rate // 2)
    assert np.abs(wave[middle] - expected[middle]).max() < 1e-3


@pytest.mark.parametrize("rate", [8000, RATE, 44100])
@pytest.mark.parametrize("size", [1, 2, 999, 1000, 20_000])
def test_resampling_in_blocks_gives_the_samples_of_resampling_the_whole(rate, size):
    wave = noise(1.0)[:size]
    blocks = [wave[start : start + BLOCKS] for start in range(0, size, BLOCKS)]
    found = np.concatenate(list(audio.resample_blocks(blocks, RATE, rate)))
    assert found.size >= 1
    assert np.abs(found - audio.resample(wave, RATE, rate)).max() < 1e-6


def test_resampling_to_the_same_rate_changes_nothing():
    assert np.array_equal(audio.resample(tone(), RATE, RATE), tone())


def test_load_resamples_to_the_requested_rate(tmp_path):
    audio.write(tmp_path / "a.wav", tone(1.0), RATE)
    wave = audio.load(tmp_path / "a.wav", 16000)
    assert wave.dtype == np.float32
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(wave[4000:8000] - expected[4000:8000]).max() < 1e-3


@pytest.mark.parametrize(
    ("create", "reason"),
    [
        (lambda path: audio.write(path, np.array([0.1, np.nan], np.float32), RATE), "NaN"),
        (lambda path: audio.write(path, np.array([0.1, np.inf], np.float32), RATE), "NaN or infinite"),
        (lambda path: audio.write(path, np.array([0.1, 3e30], np.float32), RATE), r"peak of 3e\+30"),
        (lambda path: audio.write(path, np.zeros(0, np.float32), RATE), "no samples"),
        (lambda path: audio.write(path, 20000 * tone(), RATE), "peak of 1e.04, where full scale is 1; export it"),
        (os.mkfifo, "regular file"),
        (os.mkdir, "regular file"),
        (lambda path: path.symlink_to(path.parent), "regular file"),
    ],
    ids=["NaN", "infinite", "loud", "no samples", "integers as floats", "pipe", "folder", "linked folder"],
)
def test_samples_that_cannot_be_used_are_refused_with_the_reason(tmp_path, create, reason):
    create(tmp_path / "bad.wav")
    with pytest.raises(DecodingError, match=reason) as caught:
        audio.decode(tmp_path / "bad.wav")
    assert not isinstance(caught.value, UnreadableError)


def test_samples_above_full_scale_are_kept(tmp_path):
    audio.write(tmp_path / "hot.wav", 8 * tone(), RATE)
    assert np.array_equal(audio.decode(tmp_path / "hot.wav")[0], 8 * tone())
