"""Formats with plain headers whose length is not that of the file: read to the end, with a remark."""

import re
import struct

import numpy as np
import pytest

from tests.audio.sounds import cut, encoded, noise, with_field
from tests.mutations import overwritten
from vae2ch.audio.header import LONGER, UNCLOSED

WAVE = noise(1.0, rate=16000)


def contents(form, subtype="PCM_16", wave=WAVE):
    return encoded(wave, 8000 if form == "WVE" else 16000, format=form, subtype=subtype)


CUT = ["AVR", "HTK", "MAT4", "MAT5", "MPC2K", "NIST", "SDS", "SVX", "VOC", ("VOC", "PCM_U8"), ("SDS", "PCM_S8")]
CUT += [("NIST", "ULAW"), ("WVE", "ALAW"), ("SVX", "PCM_S8"), ("MAT4", "DOUBLE"), ("AVR", "PCM_U8"), ("SDS", "PCM_24")]


@pytest.mark.parametrize("form", CUT)
def test_what_is_missing_is_said_and_not_made_up(decoded, form):
    data = contents(*([form] if isinstance(form, str) else form))
    whole, remark = decoded(data)
    assert "missing" not in remark
    wave, remark = decoded(cut(data))
    assert 0.5 * whole.size < wave.size < 0.62 * whole.size
    assert np.abs(wave - whole[: wave.size]).max() < 0.01  # a constant offset may differ
    assert re.match(r"damaged or cut short: [01]\.\d+ of|cut short: \d+ bytes are missing", remark)


def with_length(form, share):
    """A file that claims this share of its samples."""
    samples, data = int(share * WAVE.size), contents(form, "ALAW" if form == "WVE" else "PCM_16")
    if form == "NIST":
        return re.sub(rb"-i 16000\nend", b"-i %05d\nend" % samples, data)
    if form == "VOC":
        return overwritten(data, 27, struct.pack("<I", 2 * samples + 12 * (samples > 0))[:3])
    if form == "MAT5":
        return with_field(data, b"wavedata", 2 * samples, offset=12)
    if form == "SVX":
        return with_field(data, b"BODY", 2 * samples, ">I")
    place, layout = {"AVR": (26, ">I"), "HTK": (0, ">I"), "MPC2K": (30, "<I"), "WVE": (18, ">I")}[form]
    return overwritten(data, place, struct.pack(layout, samples))


@pytest.mark.parametrize("form", ["AVR", "HTK", "MAT5", "MPC2K", "NIST", "SVX", "VOC", "WVE"])
@pytest.mark.parametrize(("share", "remark"), [(0, UNCLOSED), (0.3, LONGER)])
def test_a_file_that_was_not_closed_is_read_to_the_end(decoded, form, share, remark):
    wave, found = decoded(with_length(form, share))
    assert found == remark
    assert wave.size == pytest.approx(WAVE.size, abs=1)
    assert decoded(with_length(form, 1))[1] == ""


@pytest.mark.parametrize(("subtype", "kind"), [("PCM_16", 9), ("PCM_U8", 1)])
def test_the_blocks_of_a_voc_file_are_read_without_their_heads(decoded, subtype, kind):
    data = contents("VOC", subtype)
    fields = {9: 12, 1: 2}[kind]
    head, block = data[:26], data[26 : 26 + 4 + fields + 8000]
    block = block[:1] + struct.pack("<I", fields + 8000)[:3] + block[4:]
    one, _ = decoded(head + block + b"\0")
    wave, remark = decoded(head + block + block + b"\0")
    assert remark in ("", "a DC offset of -0.0045 is removed")
    assert np.abs(wave - np.concatenate([one, one])).max() < 0.01


def test_formats_without_a_length_have_no_remark(decoded):
    for form in ("IRCAM", "PAF", "PVF"):
        wave, remark = decoded(cut(contents(form)))
        assert 0.5 < wave.size / WAVE.size < 0.7
        assert remark == ""


@pytest.mark.parametrize("samples", [1, 4000, 15999])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_flac_that_holds_more_than_it_claims_is_read_to_the_end(decoded, samples, subtype):
    data = contents("FLAC", subtype)
    claim = int.from_bytes(data[21:26], "big") - WAVE.size + samples
    wave, remark = decoded(overwritten(data, 21, claim.to_bytes(5, "big")))
    assert re.fullmatch(r"its header says (0\.\d+|1\.000) s; 1\.0+ s are read", remark)
    assert np.array_equal(wave, decoded(data)[0])


@pytest.mark.parametrize("sizes", [(8, None), (4097, 0), (12345, 0xFFFFFFFF), (20000, None)])
@pytest.mark.parametrize(
    "options", [{"subtype": "PCM_24"}, {"subtype": "PCM_16", "endian": "LITTLE"}, {"subtype": "FLOAT"}]
)
def test_aiff_files_of_any_stage_of_recording_are_read_to_the_end(decoded, sizes, options):
    data = encoded(WAVE, 16000, format="AIFF", **options)
    size, frames = sizes
    unclosed = with_field(data, b"SSND", size, ">I")
    unclosed = unclosed if frames is None else with_field(unclosed, b"COMM", frames, ">I", 10)
    wave, remark = decoded(unclosed)
    assert remark == (UNCLOSED if size == 8 else LONGER)
    assert np.array_equal(wave, decoded(data)[0])


@pytest.mark.parametrize("size", [0, 24, 2000, 2**64 - 1])
@pytest.mark.parametrize("subtype", ["MS_ADPCM", "PCM_24"])
def test_wave64_files_of_any_stage_are_read_to_the_end(decoded, size, subtype):
    data = contents("W64", subtype)
    wave, remark = decoded(with_field(data, b"data", size, "<Q", 16))
    assert remark == {0: UNCLOSED, 24: UNCLOSED, 2000: LONGER}.get(size, "")
    assert np.array_equal(wave, decoded(data)[0])
