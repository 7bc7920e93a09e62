"""Inspection of a file before it is decoded: lengths that were never filled in, contradictions, joined files, marks.

RIFF and RF64 (EBU Tech 3306), AIFF and AU begin with chunks or fields of fixed places; ``inspect`` returns the bytes
to replace, so that libsndfile reads the file right.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vae2ch.audio import chunks
from vae2ch.audio.chunks import Chunk, Layout
from vae2ch.audio.content import HEAD_BYTES, is_sound, is_wide_text
from vae2ch.audio.errors import DecodingError
from vae2ch.audio.flac import check_flac
from vae2ch.audio.header import LONGER, MIN_TAIL, UNCLOSED, Header
from vae2ch.audio.joined import check_joined
from vae2ch.audio.ogg import check_ogg
from vae2ch.audio.plain import check_htk, check_nist, check_voc, is_htk
from vae2ch.audio.writing import SOFTWARE

PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # format tags of WAV
WIDTHS = {PCM: range(1, 33), IEEE_FLOAT: (32, 64)}  # bits
UNCOMPRESSED_AIFF = (b"AIFF", b"NONE", b"sowt", b"twos")  # form or compression
UNKNOWN_SIZE = 0xFFFFFFFF
MPEG_HEAD = 4096  # bytes that hold the first frame
MPEG_LENGTH_MARKS = (b"Xing", b"Info", b"VBRI")
CHECKS = {b"fLaC": check_flac, b"NIST_1A": check_nist, b"Creative Voice": check_voc}


def inspect(file: BinaryIO, head: bytes) -> Header:
    """Header of an open file with the first bytes ``head``.

    Raises ``DecodingError`` if it contradicts itself, ``OSError`` if it cannot be read.
    """
    size = os.fstat(file.fileno()).st_size
    header = Header()
    if layout := chunks.layout_of(head):
        inspect_chunks(file, size, layout, head, header)
    elif head[:4] == b".snd":
        check_au(file, head, size, header)
    elif head[:4] == b"OggS":
        check_ogg(file, size, header)
    elif head[:3] == b"ID3" or head[:1] == b"\xff":
        check_mpeg(file, head, header)
    else:
        check_joined(file, head, size, header)
        size = header.end or size
        for mark, check in CHECKS.items():
            if head.startswith(mark):
                check(file, size, header)
        if is_htk(head):
            check_htk(head, size, header)
    return header


def inspect_chunks(file: BinaryIO, size: int, layout: Layout, head: bytes, header: Header) -> None:
    """Check the format and the length of a file that consists of chunks."""
    form = b""
    for chunk in chunks.chunks(file, size, layout):
        if chunk.name == b"fmt " and layout is not chunks.RIFX:
            check_format(chunk, file.read(26), header)
        elif chunk.name == b"desc":
            check_caf(file.read(32))
        elif chunk.name == b"COMM":
            form = file.read(22)
        elif chunk.name == b"LIST":
            header.is_result = names_this_program(file.read(min(max(chunk.size, 0), 256)))
        elif chunk.name in (b"data", b"SSND", b"BODY"):
            check_length(file, Data(chunk, size, layout, head), header)
            if not header.patches:
                check_aiff(form, head, chunk, size)
            return


def check_format(chunk: Chunk, fields: bytes, header: Header) -> None:
    """Compare the width of the samples with that of their containers; libsndfile believes the former."""
    if len(fields) < 16:
        return
    tag, channels, rate, byte_rate, align, bits = struct.unpack("<HHIIHH", fields[:16])
    if tag == EXTENSIBLE and len(fields) == 26:
        (tag,) = struct.unpack("<H", fields[24:])  # the first bytes of its subformat
    if tag not in (PCM, IEEE_FLOAT) or not channels or not bits or not align:
        return
    if bits not in WIDTHS[tag]:
        kind = "whole numbers" if tag == PCM else "floating point"
        raise DecodingError(f"has samples of {bits} bits in {kind}, which are not read; export it with 16 or 24 bits")
    container, rest = divmod(8 * align, channels)
    if container == (bits + 7) // 8 * 8 and not rest:
        return
    widths = (8, 16, 24, 32) if tag == PCM else (32, 64)
    if rest or container not in widths or container < bits or byte_rate != rate * align:
        raise contradiction(bits, channels, align)
    header.patches[chunk.start + 14] = struct.pack("<H", container)
    header.shift = container - bits if tag == PCM else 0
    header.remarks.append(f"{bits} bits in containers of {container}")


def check_caf(fields: bytes) -> None:
    """Check the width of the samples of a CAF file (Apple: Core Audio Format)."""
    if len(fields) == 32 and fields[8:12] == b"lpcm":
        packet, frames, channels, bits = struct.unpack(">IIII", fields[16:])
        if frames == 1 and channels and packet != channels * ((bits + 7) // 8):
            raise contradiction(bits, channels, packet)


def check_aiff(form: bytes, head: bytes, data: Chunk, size: int) -> None:
    """Compare the format of an AIFF file with the size of its samples, if all of them are there."""
    compression = form[18:] if head[8:12] == b"AIFC" else head[8:12]
    if len(form) < 18 or compression not in UNCOMPRESSED_AIFF or data.end > size or data.size <= 8:
        return
    channels, frames, bits = struct.unpack(">HIH", form[:8])
    if frames != UNKNOWN_SIZE and frames * channels * ((bits + 7) // 8) > 1.1 * data.size:
        raise DecodingError(
            f"its header contradicts itself: {frames} samples of {channels} channel(s) and {bits} bits in "
            f"{data.size - 8} bytes; export it again"
        )


def is_result(path: Path) -> bool:
    """Whether this program has written a file."""
    try:
        with path.open("rb") as file:
            return inspect(file, file.read(HEAD_BYTES)).is_result
    except (OSError, DecodingError):
        return False


def names_this_program(contents: bytes) -> bool:
    """Whether an INFO list does so, as the software that wrote the file."""
    where = contents.find(b"ISFT")
    return contents[:4] == b"INFO" and where > 0 and contents[where + 8 :].startswith(SOFTWARE.encode())


class Data(NamedTuple):
    """The chunk that holds the samples, and the file that holds the chunk."""

    chunk: Chunk
    file_size: int
    layout: Layout
    head: bytes  # of the file


def check_length(file: BinaryIO, data: Data, header: Header) -> None:
    """Compare the length of the samples with that of the file; samples are read to the end of the file."""
    chunk, size = data.chunk, data.file_size
    if data.head[:4] in (b"RF64", b"BW64") and chunk.size == UNKNOWN_SIZE:
        file.seek(chunks.RIFF.start)
        if file.read(4) != b"ds64":
            return
        chunk = chunk._replace(size=struct.unpack("<4xQQ", file.read(20).ljust(20, b"\0"))[1])
    if chunk.size > 0 and 0 <= size - chunk.end < data.layout.align:
        return
    if chunk.end > size or chunk.size < 0:
        is_placeholder = chunk.size < 0 or chunk.end > chunks.MAX_SIZE
        if is_placeholder or data.layout is chunks.CAF:  # libsndfile refuses them
            header.patches |= to_the_end(data)
        if data.layout is chunks.CAF and not is_placeholder:
            header.remarks.append(f"cut short: {chunk.end - size} bytes are missing")
    elif (position := chunks.next_file(file, chunk, size, data.layout)) is not None:
        header.end_at(position, size)
    elif chunks.is_followed_by_sound(file, chunk, size, data.layout):
        header.remarks.append(UNCLOSED if chunk.size <= 8 else LONGER)
        header.patches |= to_the_end(data)
    elif chunks.is_followed_by_other(file, chunk, size, data.layout):
        header.remarks.append(f"{size - chunk.end} bytes after its samples are not read")
    elif chunk.size == 0:  # libsndfile would take what follows for samples
        raise DecodingError("holds no samples")


def to_the_end(data: Data) -> dict[int, bytes]:
    """Bytes to replace, so that libsndfile reads samples to the end of a file."""
    start, rest = data.chunk.start, data.file_size - data.chunk.start
    if data.layout is chunks.CAF:
        return {start - 8: struct.pack(">q", rest)}
    if data.layout is chunks.WAVE64:
        return {start - 8: struct.pack("<Q", rest + data.layout.counted)}
    if data.layout is chunks.AIFF and data.head[:4] == b"FORM" and data.chunk.name == b"SSND":
        return {start - 4: bytes(4)}
    if data.head[:4] in (b"RF64", b"BW64") and data.head[12:16] == b"ds64":
        return {chunks.RIFF.start + 8: struct.pack("<QQQ", data.file_size - 8, rest, 0), start - 4: b"\xff" * 4}
    return {start - 4: struct.pack(data.layout.size, min(rest, UNKNOWN_SIZE))}


def check_au(file: BinaryIO, head: bytes, size: int, header: Header) -> None:
    """Check the length of an AU file, which has no chunks."""
    start, length = struct.unpack(">II", head[4:12].ljust(8, b"\0"))
    if length == UNKNOWN_SIZE or size - start - length < (8 if length == 0 else MIN_TAIL):
        return
    file.seek(start + length)
    if length and is_sound(file.read(HEAD_BYTES)):
        header.end_at(start + length, size)
        return
    header.patches[8] = struct.pack(">I", UNKNOWN_SIZE)
    header.remarks.append(LONGER if length else UNCLOSED)


def check_mpeg(file: BinaryIO, head: bytes, header: Header) -> None:
    """Note an MPEG file without its length; refuse text, and 8SVX behind a tag: libsndfile 1.2 reads it without end."""
    if is_wide_text(head):
        raise DecodingError("does not decode: it is text, not a sound")
    tagged = head[:3] == b"ID3"
    sizes = zip(head[6:10], (21, 14, 7, 0), strict=False)
    file.seek(10 + sum(byte << shift for byte, shift in sizes) if tagged else 0)
    start = file.read(MPEG_HEAD)
    if tagged and start[:4] == b"FORM" and start[8:12] in (b"8SVX", b"16SV"):
        raise DecodingError("is an 8SVX file behind an ID3 tag; remove the tag")
    header.has_length = any(mark in start for mark in MPEG_LENGTH_MARKS) or b"fLaC" in start[:4]


def contradiction(bits: int, channels: int, size: int) -> DecodingError:
    """The error for samples that do not fit into their containers."""
    return DecodingError(
        f"its header contradicts itself: {channels} channel(s) of {bits} bits in {size} bytes; export it again"
    )
