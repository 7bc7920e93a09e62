"""Files that are longer or shorter than they say: read to their end, with a remark on what is missing."""

import re
import struct

import numpy as np
import pytest

from tests.audio.sounds import (
    FFMPEG_FORMATS,
    FORMATS,
    cut,
    encoded,
    ffmpeg_encoded,
    mpeg_start,
    noise,
    of_unknown_length,
    tone,
    wav,
    with_field,
    without_xing,
    written,
)
from tests.mutations import overwritten
from vae2ch import audio
from vae2ch.audio import DecodingError

UNCLOSED = "its recorder did not close it: read to the end"
LONGER = "longer than its header says: read to the end"
WAVE = noise(1.0)
CONTENTS = {suffix: encoded(noise(1.0, rate=48000), 48000, suffix=suffix) for suffix in ("opus", "ogg", "mp3")}
CONTENTS |= {suffix: encoded(WAVE, suffix=suffix) for suffix in FORMATS if suffix not in CONTENTS}
MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III"}


@pytest.fixture
def decoded(tmp_path):
    """Function that returns the samples, the seconds and the remark of contents."""

    def decode(data, suffix="x"):
        wave, rate, remark = audio.decode(written(tmp_path / f"a.{suffix}", data))
        return wave, wave.size / rate, remark

    return decode


def with_sizes(suffix, size, frames):
    """A file whose header claims so many bytes and samples."""
    data = CONTENTS[suffix]
    if suffix == "wav":
        return with_field(with_field(data, b"data", size), b"RIFF", size + 36)
    if suffix == "rf64":
        return overwritten(data, 20, struct.pack("<QQQ", size + 80, size, frames))
    if suffix == "w64":
        return overwritten(with_field(data, b"data", size + 24, "<q", 16), 16, struct.pack("<q", size + 104))
    if suffix == "aiff":
        data = with_field(with_field(data, b"SSND", size + 8, ">I"), b"FORM", size + 46, ">I")
        return with_field(data, b"COMM", frames, ">I", 10)
    if suffix == "au":
        return with_field(data, b".snd", size, ">I", 8)
    return with_field(data, b"data", size + 4, ">q")


UNCOMPRESSED = ("wav", "rf64", "w64", "aiff", "au", "caf")


@pytest.mark.parametrize("suffix", UNCOMPRESSED)
@pytest.mark.parametrize(("size", "remark"), [(0, UNCLOSED), (8000, LONGER)])
def test_files_that_a_recorder_did_not_close_are_read_to_the_end(decoded, suffix, size, remark):
    """The size is 0, or that of the last time it was updated."""
    wave, _, found = decoded(with_sizes(suffix, size, size // 2))
    assert found == remark
    assert np.array_equal(wave, decoded(CONTENTS[suffix])[0])


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT", "PCM_U8", "ULAW", "IMA_ADPCM"])
@pytest.mark.parametrize("riff", [0, 36, None])
def test_unclosed_wav_files_of_other_widths_are_read_to_the_end(decoded, subtype, riff):
    data = encoded(WAVE, format="WAV", subtype=subtype)
    unclosed = with_field(data, b"data", 0)
    unclosed = unclosed if riff is None else with_field(unclosed, b"RIFF", riff)
    wave, _, remark = decoded(unclosed)
    assert remark == UNCLOSED
    assert np.array_equal(wave, decoded(data)[0])


@pytest.mark.parametrize("mark", [b"RF64", b"BW64"])
def test_both_lengths_of_rf64_may_be_missing(decoded, mark):
    """That in the chunk of the samples too, where others have a mark that says to look in the first one."""
    data = mark + CONTENTS["rf64"][4:]
    wave, _, remark = decoded(with_field(overwritten(data, 20, bytes(24)), b"data", 0))
    assert remark == UNCLOSED
    assert np.array_equal(wave, decoded(CONTENTS["rf64"])[0])
    assert decoded(overwritten(data, 20, b"\xff" * 24))[1:] == (1.0, "")


def test_placeholders_of_streams_are_no_lengths(decoded):
    for data in (
        with_field(with_field(CONTENTS["wav"], b"data", 0xFFFFFFFF), b"RIFF", 0xFFFFFFFF),
        with_field(CONTENTS["wav"], b"data", 0x7FFFFFFF - 44),
        with_field(CONTENTS["au"], b".snd", 0xFFFFFFFF, ">I", 8),
        with_field(CONTENTS["caf"], b"data", -1, ">q"),
        with_field(CONTENTS["rf64"], b"ds64", 0xFFFFFFFFFFFFFFFF, "<Q", 16),
    ):
        assert decoded(data)[1:] == (1.0, "")


def test_chunks_after_the_samples_are_no_sound(decoded):
    text = b"LIST" + struct.pack("<I", 5000) + b"INFOICMT" + bytes(4992)
    for after in (text, b"id3 " + struct.pack("<I", 9000) + bytes(6000), bytes(1000), b"TAG" + bytes(125)):
        wave, _, remark = decoded(CONTENTS["wav"] + after)
        assert (wave.size, remark) == (WAVE.size, "")
    odd = wav(b"\x80\x90\x70" * 333, bits=8)
    for padding in (b"", b"\0"):
        assert decoded(odd + padding + text)[0].size == 999
    aiff_text = b"ANNO" + struct.pack(">I", 5000) + bytes(5000)
    assert decoded(CONTENTS["aiff"] + aiff_text)[1:] == (1.0, "")
    caf_text = b"info" + struct.pack(">q", 5000) + bytes(5000)
    assert decoded(CONTENTS["caf"] + caf_text)[1:] == (1.0, "")


def test_a_file_without_samples_before_other_chunks_is_empty(decoded):
    text = b"LIST" + struct.pack("<I", 5000) + b"INFOICMT" + bytes(4992)
    with pytest.raises(DecodingError, match="holds no samples"):
        decoded(with_field(CONTENTS["wav"][:44], b"data", 0) + text)


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "opus", "flac", "aac", "ac3"])
def test_streams_one_after_the_other_are_read_to_the_last(decoded, suffix):
    if suffix in FFMPEG_FORMATS:
        data, other = (ffmpeg_encoded(noise(1.0, rate=44100, seed=seed), suffix) for seed in (0, 1))
    else:
        data, other = CONTENTS[suffix], encoded(noise(1.0, rate=48000, seed=1), 48000, suffix=suffix)
    first, second = decoded(data)[1], decoded(other)[1]
    wave, seconds, remark = decoded(data + other + data)
    assert abs(seconds - 2 * first - second) < 0.2
    assert wave[-20000:].std() > 0.05
    if suffix not in FFMPEG_FORMATS:
        says, read = re.fullmatch(r"its header says (\S+) s; (\S+) s are read", remark).groups()
        assert (float(says), float(read)) == (round(first, 1), round(seconds, 1))


@pytest.mark.parametrize("suffix", UNCOMPRESSED)
def test_a_file_that_is_joined_to_another_is_named(decoded, suffix):
    other = encoded(noise(0.5), suffix=suffix)
    wave, _, remark = decoded(CONTENTS[suffix] + other)
    (count,) = re.fullmatch(r"another file is joined to it, whose (\d+) bytes are not read", remark).groups()
    assert abs(int(count) - len(other)) <= 8
    assert wave.size >= WAVE.size


SILENCE_THEN_NOISE = np.concatenate([np.zeros(22050, np.float32), noise(2.0, 0.3, 44100)])
LOUD_THEN_QUIET = np.concatenate([noise(0.5, 0.5, 44100), tone(2.0, 220, 44100, 0.05)])


@pytest.mark.parametrize("before", [b"", b"ID3\x03\0\0\0\0\x0f\x50" + bytes(2000)], ids=["", "tagged"])
def test_mp3_without_its_length_is_read_to_the_end(decoded, before):
    """Decoders take the length from the bit rate of the first frame, which is too short or too long."""
    for wave, words in ((LOUD_THEN_QUIET, "its header says"), (SILENCE_THEN_NOISE, "")):
        data = encoded(wave, 44100, bitrate_mode="VARIABLE", compression_level=0.1, **MP3)
        _, seconds, remark = decoded(before + without_xing(data))
        assert abs(seconds - 2.5) < 0.1
        assert (remark == "") if words == "" else remark.startswith(words)
        _, seconds, remark = decoded(before + data)
        assert (seconds, remark) == (2.5, "")


def test_mp3_with_other_bytes_around_it_is_read_whole(decoded):
    for data in (
        CONTENTS["mp3"] + b"TAG" + bytes(125),
        b"ID3\x03\0\0\0\0\x0f\x50" + bytes(2000) + CONTENTS["mp3"],
        bytes(3000) + CONTENTS["mp3"],
    ):
        _, seconds, remark = decoded(data)
        assert 1.0 <= seconds < 1.1
        assert remark == ""


def test_tags_after_flac_are_no_damage(decoded):
    for tag in (b"TAG" + b"a title".ljust(125, b"\0"), b"APETAGEX" + bytes(2000), bytes(20000)):
        assert decoded(CONTENTS["flac"] + tag)[1:] == (1.0, "")
        assert decoded(b"ID3\x03\0\0\0\0\x0f\x50" + bytes(2000) + CONTENTS["flac"])[1:] == (1.0, "")


@pytest.mark.parametrize("suffix", [*UNCOMPRESSED, "flac", "mp3"])
@pytest.mark.parametrize("share", [0.6, 0.95])
def test_a_file_cut_short_is_kept_with_a_remark_on_what_is_missing(decoded, suffix, share):
    whole, seconds, _ = decoded(CONTENTS[suffix])
    wave, found, remark = decoded(cut(CONTENTS[suffix], share))
    assert 0.4 * share < found < share + 0.02
    if suffix != "mp3":  # whose last frames need those that are missing
        assert np.array_equal(wave, whole[: wave.size])
    if suffix == "caf":
        assert remark == f"cut short: {len(CONTENTS[suffix]) - int(share * len(CONTENTS[suffix]))} bytes are missing"
    elif share < 0.9 or suffix != "mp3":
        there, said = re.fullmatch(r"damaged or cut short: (\S+) of (\S+) s", remark).groups()
        assert float(there) == pytest.approx(found, abs=0.06)
        assert float(said) == pytest.approx(seconds, abs=0.06)


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
@pytest.mark.parametrize("share", [0.6, 0.9, 0.99])
def test_an_ogg_file_cut_short_is_kept_with_a_remark(decoded, suffix, share):
    data = encoded(noise(2.0, rate=48000), 48000, suffix=suffix)
    _, seconds, remark = decoded(cut(data, share))
    assert 0.3 < seconds < 2.0
    assert remark == "its end is missing"


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "w64", "rf64", "caf"])
def test_a_short_file_cut_short_has_a_remark_too(decoded, suffix):
    data = encoded(noise(0.12), suffix=suffix)
    _, seconds, remark = decoded(cut(data, 0.8))
    assert 0.02 < seconds < 0.1
    assert "cut short" in remark


def test_flac_of_unknown_length_that_is_cut_short_has_a_remark(decoded):
    _, seconds, remark = decoded(cut(of_unknown_length(CONTENTS["flac"])))
    assert 0.4 < seconds < 0.6
    assert re.fullmatch(r"damaged: the 0\.\d s that decode are used", remark)


@pytest.mark.parametrize("suffix", ["mkv", "wma", "tta", "wv", "aac"])
def test_files_of_ffmpeg_cut_short_are_kept_with_a_remark(decoded, suffix):
    data = ffmpeg_encoded(noise(2.0, rate=44100), suffix)
    _, seconds, remark = decoded(cut(data))
    assert 0.9 < seconds < 1.3
    assert remark.startswith("damaged")
    assert f"{seconds:.1f}" in remark or f"{seconds:.3f}" in remark


def test_an_mp4_file_without_its_index_is_refused_with_what_it_is(decoded):
    with pytest.raises(DecodingError, match="damaged or protected MP4 file; open it with the program that made it"):
        decoded(cut(ffmpeg_encoded(noise(1.0, rate=44100), "m4a")), "m4a")


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 32000, 48000])
def test_the_delay_of_an_mp3_encoder_is_no_missing_part(decoded, rate):
    for mode in ("CONSTANT", "VARIABLE"):
        _, seconds, remark = decoded(encoded(noise(0.5, rate=rate), rate, bitrate_mode=mode, **MP3))
        assert 0.45 < seconds < 0.75
        assert remark == ""


def test_the_first_frame_of_mp3_holds_its_length():
    """Otherwise the tests above would show nothing."""
    data = CONTENTS["mp3"]
    assert mpeg_start(without_xing(data)) == 0
    assert b"Info" in data[:200] or b"Xing" in data[:200]
    assert b"Info" not in without_xing(data)[:200]
