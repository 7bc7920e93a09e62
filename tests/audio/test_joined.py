"""Files joined one after the other: all of it is read, or a remark says what is not."""

import struct

import numpy as np
import pytest

from tests.audio.sounds import encoded, ffmpeg_encoded, noise

RATE = 16000
REMARK = "another file is joined to it, whose {} bytes are not read"
PLAIN = ("AVR", "IRCAM", "MPC2K", "NIST", "PAF", "PVF", "SDS", "SVX", "VOC", "W64", "MAT5")


def plain(form, seconds=0.3, seed=0):
    subtype = {"WVE": "ALAW", "XI": "DPCM_16"}.get(form, "PCM_16")
    rate = {"WVE": 8000, "XI": 44100}.get(form, RATE)
    return encoded(noise(seconds, rate=rate, seed=seed), rate, format=form, subtype=subtype)


def stream(subtype, rate=48000, channels=1, form="OGG", seed=0):
    wave = np.stack([noise(0.4, rate=rate, seed=seed + channel) for channel in range(channels)], axis=1)
    return encoded(wave, rate, format=form, subtype=subtype)


def check_first_alone(decoded, data, other):
    wave, _ = decoded(data)
    found, remark = decoded(data + other)
    assert remark == REMARK.format(len(other))
    assert np.array_equal(found, wave)


@pytest.mark.parametrize("form", [*PLAIN, "WVE", "XI"])
def test_a_header_in_the_middle_is_not_read_as_sound(decoded, form):
    check_first_alone(decoded, plain(form), plain(form, 0.2, seed=1))


@pytest.mark.parametrize("form", ["AVR", "IRCAM", "NIST", "PAF", "VOC"])
@pytest.mark.parametrize("other", ["WAV", "FLAC", "AU", "PVF", "AIFF"])
def test_a_header_of_another_format_is_not_read_as_sound(decoded, form, other):
    check_first_alone(decoded, plain(form), plain(other))


@pytest.mark.parametrize("form", ["WAV", "RF64", "AIFF", "CAF", "W64", "AU"])
@pytest.mark.parametrize("other", ["FLAC", "OGG", "NIST"])
def test_what_follows_the_chunks_of_a_file_is_named(decoded, form, other):
    data = stream("VORBIS") if other == "OGG" else plain(other)
    check_first_alone(decoded, plain(form), data)


def test_chunks_between_two_files_hide_none(decoded):
    text = b"LIST" + struct.pack("<I", 12) + b"INFOICMT" + bytes(4)
    wave, remark = decoded(plain("WAV") + text)
    assert remark == ""
    found, remark = decoded(plain("WAV") + text + plain("WAV"))
    assert remark == REMARK.format(len(plain("WAV")))
    assert np.array_equal(found, wave)


MONO, STEREO = stream("VORBIS"), stream("VORBIS", channels=2)
OPUS = stream("OPUS")
CHAINS = {
    "channels": (MONO, STEREO),
    "rate": (MONO, stream("VORBIS", 22050)),
    "codec": (MONO, OPUS),
    "codec of Opus": (OPUS, MONO),
    "channels of Opus": (stream("OPUS", channels=2), OPUS),
    "the same": (OPUS, OPUS),  # with one serial number, which FFmpeg takes for one stream
    "channels of FLAC": (stream("PCM_16", form="FLAC"), stream("PCM_16", channels=2, form="FLAC")),
    "bits of FLAC": (stream("PCM_16", form="FLAC"), stream("PCM_24", form="FLAC")),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_stream_of_another_kind_is_named(decoded, name):
    check_first_alone(decoded, *CHAINS[name])


def test_the_third_stream_is_compared_too(decoded):
    second = stream("VORBIS", seed=1)
    wave, remark = decoded(MONO + second + STEREO)
    assert 0.75 < wave.size / 48000 < 0.85
    assert REMARK.format(len(STEREO)) in remark


@pytest.mark.parametrize("suffixes", ["m4a m4a", "m4a mp4", "mp4 mp4", "tta tta", "wma wma"])
def test_a_second_movie_or_stream_of_ffmpeg_is_named(decoded, suffixes):
    first, second = (ffmpeg_encoded(noise(0.5, rate=44100), suffix) for suffix in suffixes.split())
    check_first_alone(decoded, first, second)


@pytest.mark.parametrize("after", [plain("WAV", 1.0), b"no sound" * 3000])
@pytest.mark.parametrize("name", ["ogg", "opus", "flac", "m4a", "mp4", "SDS", "VOC", "MAT4"])
def test_other_bytes_after_the_end_are_counted(decoded, name, after):
    streams = {"ogg": MONO, "opus": OPUS}
    if name in ("m4a", "mp4"):
        data = ffmpeg_encoded(noise(0.5, rate=44100), name)
    else:
        data = streams.get(name) or plain(name.upper())
    wave, _ = decoded(data)
    found, remark = decoded(data + after)
    assert remark.endswith("are not read")
    assert int("".join(letter for letter in remark if letter.isdigit())) == pytest.approx(
        len(after), abs=9000
    )  # FLAC: at least
    assert np.array_equal(found, wave)
