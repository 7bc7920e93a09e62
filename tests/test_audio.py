import os
import time

import numpy as np
import pytest
import soundfile

from vae2ch import audio
from vae2ch.refusal import Refusal

RATE = 22050


def tone(seconds=0.5, rate=RATE, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "form", "subtype", "error"),
    [
        ("wav", "WAV", "PCM_16", 1e-4),
        ("wav", "WAV", "PCM_24", 1e-6),
        ("wav", "WAV", "FLOAT", 0),
        ("flac", "FLAC", "PCM_16", 1e-4),
        ("aiff", "AIFF", "PCM_16", 1e-4),
        ("w64", "W64", "PCM_24", 1e-6),
        ("ogg", "OGG", "VORBIS", 0.1),
        ("mp3", "MP3", "MPEG_LAYER_III", 0.1),
        ("OPUS", "OGG", "OPUS", 0.1),
    ],
)
def test_reads_every_format(tmp_path, suffix, form, subtype, error):
    path = tmp_path / f"a sound, ünïcode.{suffix}"
    rate = 48000 if subtype == "OPUS" else RATE
    soundfile.write(path, tone(rate=rate), rate, format=form, subtype=subtype)
    wave, found, remark = audio.decode(path)
    assert (wave.dtype, found, remark) == (np.float32, rate, "")
    middle = slice(2000, 8000)
    if error < 0.1:
        assert np.abs(wave - tone(rate=rate)).max() <= error
    else:  # lossy, and possibly delayed: the same level and pitch
        assert abs(wave[middle].std() / tone(rate=rate)[middle].std() - 1) < 0.1
        assert abs(np.abs(np.fft.rfft(wave[middle])).argmax() * rate / 6000 - 440) < rate / 6000


def test_channels_are_mixed_to_mono(tmp_path):
    left, right = tone(), tone(hertz=660)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right, 0 * left], axis=1), RATE, subtype="FLOAT")
    assert np.allclose(audio.decode(tmp_path / "a.wav")[0], (left + right) / 3, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
def test_resampling_keeps_pitch_level_and_duration(rate):
    wave = audio.resample(tone(1.0), RATE, rate)
    assert abs(wave.size - rate) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(wave.size) / rate)
    middle = slice(rate // 4, rate // 2)
    assert np.abs(wave[middle] - expected[middle]).max() < 1e-3
    assert audio.resample(tone(), RATE, RATE).size == tone().size
    assert audio.resample(np.ones(1, np.float32), 48000, 16000).size >= 1


def damaged(path, name, kind):
    soundfile.write(path / "whole.flac", np.random.default_rng(0).normal(0, 0.1, 200_000), RATE)
    data = (path / "whole.flac").read_bytes()
    (path / "whole.flac").unlink()
    target = path / name
    if kind == "truncated":
        target.write_bytes(data[: len(data) // 2])
    elif kind == "empty":
        target.write_bytes(b"")
    elif kind == "text":
        target.write_text("RIFF, but not really")
    elif kind == "header only":
        target.write_bytes(data[:60])
    elif kind == "nan":
        audio.write(target, np.array([0.1, np.nan], np.float32), RATE)
    elif kind == "loud":
        audio.write(target, np.array([0.1, 3e30], np.float32), RATE)
    elif kind == "no samples":
        audio.write(target, np.zeros(0, np.float32), RATE)
    elif kind == "silent":
        audio.write(target, np.zeros(100, np.float32), RATE)
    elif kind == "rate":
        audio.write(target, tone(), 3)
    elif kind == "pipe":
        os.mkfifo(target)
    elif kind == "dangling link":
        target.symlink_to(path / "nowhere.wav")
    return target


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "0 bytes"),
        ("text", "does not decode"),
        ("header only", "does not decode"),
        ("nan", "NaN"),
        ("loud", "peak of 3e+30"),
        ("no samples", "no samples"),
        ("silent", "silent"),
        ("rate", "3 Hz"),
        ("pipe", "regular file"),
        ("dangling link", "no such file"),
    ],
)
def test_says_why_a_file_is_refused(tmp_path, kind, reason):
    audio.write(tmp_path / "good.wav", tone(), RATE)
    damaged(tmp_path, "bad.wav" if kind != "header only" else "bad.flac", kind)
    scan = audio.scan(tmp_path, RATE)
    assert [sound.name for sound in scan.sounds] == ["good.wav"]
    assert len(scan.refused) == 1
    assert reason in next(iter(scan.refused.values()))


def test_a_name_that_is_not_utf8_is_refused_alone(tmp_path):
    audio.write(tmp_path / "good.wav", tone(), RATE)
    with open(bytes(tmp_path) + b"/caf\xe9.wav", "wb") as file:
        file.write((tmp_path / "good.wav").read_bytes())
    scan = audio.scan(tmp_path, RATE)
    assert [sound.name for sound in scan.sounds] == ["good.wav"]
    assert scan.refused == {"caf\\udce9.wav": "its name is not valid UTF-8; rename it"}


def test_what_is_silent_at_the_models_rate_is_refused(tmp_path):
    audio.write(tmp_path / "good.wav", tone(), RATE)
    audio.write(tmp_path / "bat.wav", np.array([0, 0.5], np.float32), 96000)
    scan = audio.scan(tmp_path, 16000)
    assert [sound.name for sound in scan.sounds] == ["good.wav"]
    assert "silent" in scan.refused["bat.wav"]


def test_a_truncated_file_is_kept_up_to_the_damage(tmp_path):
    damaged(tmp_path, "cut.flac", "truncated")
    (sound,) = audio.scan(tmp_path, RATE).sounds
    assert 10_000 < sound.wave.size < 200_000
    assert "damaged" in sound.remark


def test_a_headers_claim_is_not_believed(tmp_path):
    """A length field of 4 GB over half a second of samples."""
    audio.write(tmp_path / "lie.wav", tone(), RATE, "PCM_16")
    data = bytearray((tmp_path / "lie.wav").read_bytes())
    where = data.index(b"data") + 4
    data[where : where + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    (tmp_path / "lie.wav").write_bytes(data)
    assert audio.decode(tmp_path / "lie.wav")[0].size == tone().size


def test_lists_a_tree_once_and_in_order(tmp_path):
    for name in ("b.wav", "a/ä ö.FLAC", ".hidden.wav", "a/deep/er/c.mp3", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in audio.list_files(tmp_path)]
    assert names == ["a/deep/er/c.mp3", "a/ä ö.FLAC", "b.wav"]


def test_refuses_folders_that_hold_nothing(tmp_path):
    with pytest.raises(Refusal, match="does not exist"):
        audio.list_files(tmp_path / "nowhere")
    with pytest.raises(Refusal, match="no sound file"):
        audio.list_files(tmp_path)
    (tmp_path / "bad.wav").write_bytes(b"")
    with pytest.raises(Refusal, match=r"bad\.wav: empty"):
        audio.scan(tmp_path, RATE)
    with pytest.raises(Refusal, match="is a file"):
        audio.list_files(tmp_path / "bad.wav")


def test_equal_samples_make_equal_bytes_at_any_time(tmp_path):
    audio.write(tmp_path / "a.wav", tone(), RATE)
    first = (tmp_path / "a.wav").read_bytes()
    time.sleep(1.1)  # the format's clock counts seconds
    audio.write(tmp_path / "a.wav", tone(), RATE)
    assert (tmp_path / "a.wav").read_bytes() == first
    assert np.array_equal(audio.decode(tmp_path / "a.wav")[0], tone())


def test_writing_replaces_or_leaves_alone(tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, tone(), RATE)
    audio.write(path, 3 * tone(), RATE)
    assert np.array_equal(audio.decode(path)[0], 3 * tone())
    with pytest.raises(Refusal, match="cannot write"):
        audio.write(path / "below.wav", tone(), RATE)
    assert [found.name for found in tmp_path.iterdir()] == ["a.wav"]
