"""Headers that contradict themselves or the file: read right, or refused, and never as noise."""

import struct

import numpy as np
import pytest

from tests.audio.sounds import RATE, encoded, noise, tone, wav, with_field, written
from tests.mutations import overwritten
from vae2ch import audio
from vae2ch.audio import DecodingError, is_result

WAVE = noise(0.5)
INTEGERS = np.round(WAVE * 2**23).astype("<i4")  # 24 bits
STEREO = np.repeat(INTEGERS, 2)
CONTRADICTION = "its header contradicts itself.*export it again"


def extensible(samples, *, bits, align, valid, tag=1):
    """A WAV file with an extensible format, with any fields."""
    guid = struct.pack("<IHH", tag, 0, 16) + bytes.fromhex("800000aa00389b71")
    fields = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, RATE * align, align, bits, 22, valid, 4) + guid
    body = b"WAVEfmt " + struct.pack("<I", len(fields)) + fields + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def of_width(form, subtype, bits):
    """A file whose header claims fewer bits than its containers have."""
    data = encoded(WAVE, format=form, subtype=subtype)
    start = data.index(b"fmt ") + (24 if form == "W64" else 8)
    return overwritten(data, start + 14, struct.pack("<H", bits))


def with_riff_field(data, offset, value, layout="<H"):
    """A WAV file with a field of its format."""
    return with_field(data, b"fmt ", value, layout, 8 + offset)


def caf_with(offset, value):
    """A CAF file with a field of its description."""
    return with_field(encoded(WAVE, suffix="caf"), b"desc", value, ">I", 12 + offset)


NARROW = {  # contents, and the words of the remark
    "24 in 32, right": (wav(INTEGERS.tobytes(), bits=24, align=4), "24 bits in containers of 32"),
    "24 in 32, left": (wav((INTEGERS << 8).tobytes(), bits=24, align=4), "24 bits in containers of 32"),
    "24 in 32, stereo": (wav(STEREO.tobytes(), bits=24, align=8, channels=2), "24 bits in containers of 32"),
    "20 in 32, right": (wav((INTEGERS >> 4).tobytes(), bits=20, align=4), "20 bits in containers of 32"),
    "20 in 32, left": (wav((INTEGERS >> 4 << 12).tobytes(), bits=20, align=4), "20 bits in containers of 32"),
    "16 in 32, right": (wav((INTEGERS >> 8).tobytes(), bits=16, align=4), "16 bits in containers of 32"),
    "32 in 64, float": (wav(WAVE.astype("<f8").tobytes(), bits=32, align=8, tag=3), "32 bits in containers of 64"),
    "extensible, right": (extensible(INTEGERS.tobytes(), bits=24, align=4, valid=24), "24 bits in containers of 32"),
    "extensible, left": (extensible((INTEGERS << 8).tobytes(), bits=24, align=4, valid=24), "24 bits in containers"),
    "extensible, float": (
        extensible(WAVE.astype("<f8").tobytes(), bits=32, align=8, valid=32, tag=3),
        "32 bits in containers of 64",
    ),
    "RF64": (of_width("RF64", "PCM_32", 24), "24 bits in containers of 32"),
    "Wave64": (of_width("W64", "PCM_32", 24), "24 bits in containers of 32"),
}


@pytest.mark.parametrize("name", NARROW)
def test_samples_that_are_narrower_than_their_containers_are_read_right(tmp_path, name):
    data, words = NARROW[name]
    wave, _, remark = audio.decode(written(tmp_path / "a.wav", data))
    assert words in remark
    assert wave.shape == WAVE.shape
    assert np.abs(wave - WAVE).max() < 2e-4


CONTROLS = {
    "12 in 16": wav((INTEGERS >> 12 << 4).astype("<i2").tobytes(), bits=12, align=2),
    "20 in 24": wav((INTEGERS >> 4 << 4).view("u1").reshape(-1, 4)[:, :3].tobytes(), bits=20, align=3),
    "24 valid of 32": extensible((INTEGERS << 8).tobytes(), bits=32, align=4, valid=24),
    "24": encoded(WAVE, format="WAV", subtype="PCM_24"),
    "24, extensible": encoded(WAVE, format="WAVEX", subtype="PCM_24"),
    "64-bit float": encoded(WAVE, format="WAV", subtype="DOUBLE"),
    "big-endian": encoded(WAVE, format="WAV", subtype="PCM_16", endian="BIG"),
    "big-endian, 24 in 32": with_field(
        encoded(WAVE, format="WAV", subtype="PCM_32", endian="BIG"), b"fmt ", 24, ">H", 22
    ),
    "CAF, 24": encoded(WAVE, format="CAF", subtype="PCM_24"),
    "CAF, float": encoded(WAVE, format="CAF", subtype="FLOAT"),
    "CAF, little-endian": encoded(WAVE, format="CAF", subtype="PCM_16", endian="LITTLE"),
    "AIFF, 24": encoded(WAVE, format="AIFF", subtype="PCM_24"),
    "AIFC, little-endian": encoded(WAVE, format="AIFF", subtype="PCM_16", endian="LITTLE"),
    "AIFC, float": encoded(WAVE, format="AIFF", subtype="FLOAT"),
    "Wave64, 24": encoded(WAVE, format="W64", subtype="PCM_24"),
    "RF64, 24": encoded(WAVE, format="RF64", subtype="PCM_24"),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_headers_that_are_right_are_believed(tmp_path, name):
    wave, _, remark = audio.decode(written(tmp_path / "a.wav", CONTROLS[name]))
    assert remark == ""
    assert wave.shape == WAVE.shape
    assert np.abs(wave - WAVE).max() < 5e-4


PLAIN = encoded(WAVE, suffix="wav")
REFUSED = {
    "alignment too small": wav(INTEGERS.tobytes(), bits=32, align=2),
    "alignment too small, extensible": extensible(INTEGERS.tobytes(), bits=32, align=2, valid=32),
    "alignment too large": with_riff_field(PLAIN, 12, 4),
    "alignment between": wav(INTEGERS.tobytes(), bits=16, align=3, channels=2),
    "64-bit float in 32": wav(WAVE.tobytes(), bits=64, align=4, tag=3),
    "too many channels": with_riff_field(PLAIN, 2, 4),
    "CAF, packet too large": caf_with(16, 4),
    "CAF, packet too small": caf_with(16, 1),
    "CAF, too many bits": caf_with(28, 24),
    "CAF, too many channels": caf_with(24, 2),
    "AIFF, too many bits": with_field(encoded(WAVE, suffix="aiff"), b"COMM", 24, ">H", 14),
    "AIFF, too many channels": with_field(encoded(WAVE, suffix="aiff"), b"COMM", 2, ">H", 8),
}


@pytest.mark.parametrize("name", REFUSED)
def test_headers_that_contradict_themselves_are_refused(tmp_path, name):
    with pytest.raises(DecodingError, match=CONTRADICTION):
        audio.decode(written(tmp_path / "a.wav", REFUSED[name]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (with_riff_field(PLAIN, 14, 0), "does not decode"),
        (with_riff_field(PLAIN, 2, 0), "channel count is zero"),
        (with_riff_field(PLAIN, 4, 0, "<I"), "its header is damaged"),
        (with_riff_field(PLAIN, 4, 3, "<I"), "claims a sample rate of 3 Hz; 1000 to 1000000 are read"),
        (with_riff_field(PLAIN, 4, 2_000_000_000, "<I"), "sample rate of 2000000000 Hz"),
        (PLAIN[:30], "does not decode"),
        (wav(WAVE.astype("<f2").tobytes(), bits=16, tag=3), "16 bits in floating point, which are not read; export"),
        (wav(WAVE.astype("<f4").tobytes(), bits=24, tag=3), "24 bits in floating point, which are not read; export"),
        (wav(np.int64(WAVE * 2**62).tobytes(), bits=64), "64 bits in whole numbers, which are not read; export"),
    ],
)
def test_other_impossible_fields_are_refused_with_the_reason(tmp_path, data, reason):
    with pytest.raises(DecodingError, match=reason):
        audio.decode(written(tmp_path / "a.wav", data))


def test_a_quiet_sound_of_full_width_keeps_its_level(tmp_path):
    quiet = 1e-3 * WAVE
    wave, _, remark = audio.decode(written(tmp_path / "a.wav", encoded(quiet, format="WAV", subtype="PCM_32")))
    assert np.abs(wave - quiet).max() < 1e-7
    assert remark == ""


def test_the_mark_of_a_result_is_found_and_no_other(tmp_path):
    audio.write(tmp_path / "result.wav", tone(0.1), RATE, result=True)
    audio.write(tmp_path / "sound.wav", tone(0.1), RATE)
    info = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf60.16.100\0"
    where = PLAIN.index(b"data")
    written(tmp_path / "other.wav", PLAIN[:where] + info + PLAIN[where:])
    written(tmp_path / "text.wav", b"ISFT vae2ch")
    assert [is_result(tmp_path / f"{name}.wav") for name in ("result", "sound", "other", "text", "missing")] == [
        True, False, False, False, False
    ]  # fmt: skip
    assert audio.open_recording(tmp_path / "result.wav").is_result
    assert not audio.open_recording(tmp_path / "other.wav").is_result


def test_large_chunks_before_the_samples_are_passed_over(tmp_path):
    where = PLAIN.index(b"data")
    zeros = b"LIST" + struct.pack("<I", 393164) + bytes(393164)  # as some recorders reserve it
    wave, _, remark = audio.decode(written(tmp_path / "a.wav", PLAIN[:where] + zeros + PLAIN[where:]))
    assert (wave.size, remark) == (WAVE.size, "")


def test_8svx_behind_a_tag_is_refused(tmp_path):
    """libsndfile 1.2 would read it without end."""
    tag = b"ID3\x03\0\0\0\0\0\x10" + bytes(16)
    data = tag + encoded(WAVE, format="SVX", subtype="PCM_16")
    with pytest.raises(DecodingError, match="8SVX file behind an ID3 tag; remove the tag"):
        audio.decode(written(tmp_path / "a.8svx", data))


@pytest.mark.parametrize(
    "data",
    [
        b"RF64\xff\xff\xff\xffWAVEds64\0\0\0\0data\xff\xff\xff\xff",
        b"caff\0\1\0\0desc" + struct.pack(">q", 2**63 - 1) + bytes(100),
        b"caff\0\1\0\0data" + struct.pack(">q", 2**63 - 1) + bytes(100),
        b"caff\0\1\0\0free" + struct.pack(">q", -(2**63)) + bytes(100),
        encoded(WAVE, suffix="w64")[:40] + b"data" + bytes(12) + b"\xff" * 8 + bytes(100),
        b"RIFF\0\0\0\0WAVE" + bytes(8 * 2000),
        b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\1",
        b"FORM\0\0\0\0AIFFSSND\0\0\0\x08" + bytes(100),
        b".snd\0\0\0",
        b".snd\xff\xff\xff\xff\xff\xff\xff\xfe" + bytes(100),
        b"OggS",
        b"ID3",
        b"\xff",
    ],
)
def test_headers_with_impossible_sizes_are_refused_without_harm(tmp_path, data):
    with pytest.raises(DecodingError):
        audio.decode(written(tmp_path / "a.wav", data))
