"""Files joined one after the other, of which decoders read the first alone, or the header of the second as sound."""

import re
from collections.abc import Iterable
from typing import BinaryIO

from vae2ch.audio.header import Header

BLOCK = 1 << 20  # bytes that are searched at once
CUT_BOXES = (b"mdat", b"moov", b"moof", b"free", b"skip", b"wide", b"uuid")  # that may reach beyond the file's end
LONGEST = 64  # bytes of a beginning
FLAC_FORMAT = slice(20, 22)  # bytes with the bits that say channels and width
FLAC_BITS = 0x0FF0
# bytes that are long enough not to occur in samples by chance
FLAC = rb"fLaC\0\0\0\x22"
PLAIN = (  # formats whose samples are read to the end of the file
    rb"2BIT.{8}(?:\0\0|\xff\xff)\0[\x08\x10]",  # AVR
    rb"Creative Voice File\x1a",
    rb"NIST_1A\n   1024\n",
    rb" paf\0{7}[\0\1]",
    rb"fap \0{4}[\0\1]\0{3}",
    rb"PVF1\n\d+ \d+ \d+\n",
    rb"ALawSoundFile\*\*\0",
    rb"Extended Instrument: ",
    rb"\x64\xa3[\1-\4]\0.{4}[\1-\x40]\0{3}[\1-\x40]\0[\0-\4]\0",  # IRCAM
    rb"\0[\1-\4]\xa3\x64.{4}\0{3}[\1-\x40]\0[\0-\4]\0[\1-\x40]",
    rb"MATLAB 5\.0 MAT-file",
    rb"\x01\x04[ -~]{17}[\0-\xc8]..[\0\1]",  # MPC2K
    rb"\xf0\x7e[\0-\x7f]\x01[\0-\x7f]{16}\xf7\xf0\x7e",  # SDS
)
COMPRESSED = (
    FLAC,
    rb"TTA[12][\1\2]\0[\1-\x20]\0[\x08\x10\x18\x20]\0",
    rb"MAC .\x0f\0\0\x34\0\0\0\x18\0\0\0",
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c",  # WMA
    rb"#!AMR(?:-WB)?\n",
    rb"DSD \x1c\0{7}",
    rb"MPCKSH",
    rb"qoaf.{4}[\1-\x08]",
    rb"FLV\x01[\0-\5]\0\0\0\x09",
)
CHUNKED = (
    rb"RIFF.{4}WAVEfmt ",
    rb"FORM.{4}(?:AIF[FC]|8SVX|16SV)",
    rb"riff\x2e\x91\xcf\x11",
    rb"caff\0\x01\0\0desc",
    rb"\.snd\0\0.{6}\0\0\0[\1-\x1b]",
    rb"OggS\0\x02\0{8}",
)


def check_joined(file: BinaryIO, head: bytes, size: int, header: Header) -> None:
    """Leave out a second file, unless both are FLAC with as many channels and bits: FFmpeg reads it.

    Behind a compressed file one of the same format is sought, behind a plain one any.
    """
    if head[4:8] == b"ftyp":
        check_movie(file, size, header)
        return
    own = next((beginning for beginning in COMPRESSED if re.match(beginning, head, re.DOTALL)), None)
    if own is None and not any(re.match(beginning, head, re.DOTALL) for beginning in PLAIN):
        return
    position = search(file, [own] if own else [*PLAIN, *COMPRESSED, *CHUNKED])
    if position is None:
        return
    file.seek(position)
    if head[:4] != b"fLaC" or flac_format(head) != flac_format(file.read(len(head))):
        header.end_at(position, size)


def flac_format(head: bytes) -> int:
    """Channels and width of a FLAC file that begins so."""
    return int.from_bytes(head[FLAC_FORMAT], "big") & FLAC_BITS


def search(file: BinaryIO, beginnings: Iterable[bytes]) -> int | None:
    """Position at which another file begins, by patterns of its first bytes."""
    patterns = [re.compile(beginning, re.DOTALL) for beginning in beginnings]  # faster than one that is compiled of all
    start, kept = 1, b""
    file.seek(start)
    while block := file.read(BLOCK):
        block = kept + block
        if found := [match.start() for pattern in patterns if (match := pattern.search(block))]:
            return start + min(found)
        kept = block[-LONGEST:]
        start += len(block) - len(kept)
    return None


def check_movie(file: BinaryIO, size: int, header: Header) -> None:
    """Leave out what follows an MP4 file (ISO 14496-12): boxes, which begin with their size and name."""
    position = 0
    while position < size:
        file.seek(position)
        box = file.read(16).ljust(16, b"\0")
        length, name = int.from_bytes(box[:4], "big"), box[4:8]
        length = int.from_bytes(box[8:16], "big") if length == 1 else length
        if name == b"ftyp" and position:
            header.end_at(position, size)
        elif not (name.isalnum() and name.isascii()) or (position + length > size and name not in CUT_BOXES):
            header.rest(position, size)
        elif length >= 8:
            position += length
            continue
        return
