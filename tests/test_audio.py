import os

import numpy as np
import pytest
import soundfile

from vae2ch import audio
from vae2ch.audio import DecodingError
from vae2ch.audio.libsndfile import BLOCK_SAMPLES
from vae2ch.errors import InputError

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
    ],
)
def test_lossless_formats_decode_to_the_same_samples(tmp_path, suffix, form, subtype, error):
    path = tmp_path / f"a sound, ünïcode.{suffix}"
    soundfile.write(path, tone(), RATE, format=form, subtype=subtype)
    wave, rate, remark = audio.decode(path)
    assert (wave.dtype, rate, remark) == (np.float32, RATE, "")
    assert wave.shape == tone().shape
    assert np.abs(wave - tone()).max() <= error


@pytest.mark.parametrize(
    ("suffix", "form", "subtype", "rate"),
    [("ogg", "OGG", "VORBIS", RATE), ("mp3", "MP3", "MPEG_LAYER_III", RATE), ("OPUS", "OGG", "OPUS", 48000)],
)
def test_lossy_formats_decode_to_the_same_level_and_pitch(tmp_path, suffix, form, subtype, rate):
    path = tmp_path / f"a sound, ünïcode.{suffix}"
    soundfile.write(path, tone(rate=rate), rate, format=form, subtype=subtype)
    wave, found, remark = audio.decode(path)
    assert (wave.dtype, found, remark) == (np.float32, rate, "")
    middle = wave[2000:8000]  # without the delay that some encoders add
    assert abs(middle.std() / tone(rate=rate)[2000:8000].std() - 1) < 0.1
    assert abs(np.abs(np.fft.rfft(middle)).argmax() * rate / 6000 - 440) < rate / 6000


def test_channels_are_averaged_to_mono(tmp_path):
    left, right = tone(), tone(hertz=660)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right, 0 * left], axis=1), RATE, subtype="FLOAT")
    assert np.allclose(audio.decode(tmp_path / "a.wav")[0], (left + right) / 3, atol=1e-6)


def test_a_file_of_several_blocks_is_decoded_whole(tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.1, 2 * BLOCK_SAMPLES + 77).astype(np.float32)
    audio.write(tmp_path / "a.wav", wave, RATE)
    assert np.array_equal(audio.decode(tmp_path / "a.wav")[0], wave)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
def test_resampling_keeps_pitch_level_and_duration(rate):
    wave = audio.resample(tone(1.0), RATE, rate)
    assert abs(wave.size - rate) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(wave.size) / rate)
    middle = slice(rate // 4, rate // 2)
    assert np.abs(wave[middle] - expected[middle]).max() < 1e-3


def test_resampling_to_the_same_rate_changes_nothing():
    assert np.array_equal(audio.resample(tone(), RATE, RATE), tone())


def test_resampling_returns_at_least_one_sample():
    assert audio.resample(np.ones(1, np.float32), 48000, 16000).size == 1


def test_load_resamples_to_the_requested_rate(tmp_path):
    audio.write(tmp_path / "a.wav", tone(1.0), RATE)
    wave = audio.load(tmp_path / "a.wav", 16000)
    assert wave.dtype == np.float32
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(wave[4000:8000] - expected[4000:8000]).max() < 1e-3


def flac(path, samples=200_000):
    """Bytes of a FLAC file of noise."""
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, samples), RATE, format="FLAC")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("create", "reason"),
    [
        (lambda path: path.write_bytes(b""), "0 bytes"),
        (lambda path: path.write_text("RIFF, but not really"), "does not decode"),
        (lambda path: path.write_bytes(flac(path)[:60]), "does not decode"),
        (lambda path: audio.write(path, np.array([0.1, np.nan], np.float32), RATE), "NaN"),
        (lambda path: audio.write(path, np.array([0.1, 3e30], np.float32), RATE), r"peak of 3e\+30"),
        (lambda path: audio.write(path, np.zeros(0, np.float32), RATE), "no samples"),
        (lambda path: audio.write(path, tone(), 3), "3 Hz"),
        (os.mkfifo, "regular file"),
        (os.mkdir, "regular file"),
        (lambda path: path.symlink_to(path.parent / "nowhere.wav"), "no such file"),
        (lambda path: None, "no such file"),
    ],
    ids=["empty", "text", "header", "NaN", "loud", "no samples", "rate", "pipe", "folder", "dangling link", "missing"],
)
def test_an_unusable_file_is_refused_with_the_reason(tmp_path, create, reason):
    create(tmp_path / "bad.wav")
    with pytest.raises(DecodingError, match=reason):
        audio.decode(tmp_path / "bad.wav")


def test_a_truncated_file_is_decoded_up_to_the_damage(tmp_path):
    data = flac(tmp_path / "cut.flac")
    (whole, _, _) = audio.decode(tmp_path / "cut.flac")
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    wave, _, remark = audio.decode(tmp_path / "cut.flac")
    assert 10_000 < wave.size < 200_000
    assert np.array_equal(wave, whole[: wave.size])
    assert "damaged" in remark


def test_a_false_length_in_the_header_is_ignored(tmp_path):
    """A length field of 4 GB before half a second of samples."""
    audio.write(tmp_path / "lie.wav", tone(), RATE, "PCM_16")
    data = bytearray((tmp_path / "lie.wav").read_bytes())
    where = data.index(b"data") + 4
    data[where : where + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    (tmp_path / "lie.wav").write_bytes(data)
    assert audio.decode(tmp_path / "lie.wav")[0].size == tone().size


def test_list_files_is_recursive_and_sorted(tmp_path):
    for name in ("b.wav", "a/ä ö.FLAC", ".hidden.wav", "a/deep/er/c.mp3", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in audio.list_files(tmp_path).files]
    assert names == ["a/deep/er/c.mp3", "a/ä ö.FLAC", "b.wav"]


def test_list_files_refuses_a_folder_without_sounds(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        audio.list_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no sound file"):
        audio.list_files(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(InputError, match="is a file"):
        audio.list_files(tmp_path / "a.wav")


def test_a_written_file_holds_the_samples_and_no_timestamp(tmp_path):
    """Equal samples make equal bytes: those of libsndfile, without the time in its PEAK chunk."""
    audio.write(tmp_path / "a.wav", tone(), RATE)
    soundfile.write(tmp_path / "plain.wav", tone(), RATE, subtype="FLOAT")
    plain = (tmp_path / "plain.wav").read_bytes()
    where = plain.index(b"PEAK") + 12
    assert plain[where : where + 4] != bytes(4)
    assert (tmp_path / "a.wav").read_bytes() == plain[:where] + bytes(4) + plain[where + 4 :]
    assert np.array_equal(audio.decode(tmp_path / "a.wav")[0], tone())


def test_writing_replaces_a_file_and_leaves_nothing_behind_if_it_fails(tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, tone(), RATE)
    audio.write(path, 3 * tone(), RATE)
    assert np.array_equal(audio.decode(path)[0], 3 * tone())
    with pytest.raises(InputError, match="cannot write"):
        audio.write(path / "below.wav", tone(), RATE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        audio.write(tmp_path / "folder.wav", tone(), RATE)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.wav", "folder.wav"]
    assert np.array_equal(audio.decode(path)[0], 3 * tone())
