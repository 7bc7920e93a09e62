"""Headers of uncompressed formats, read before decoding: lengths that were never filled in, contradictions, marks.

RIFF and RF64 (EBU Tech 3306), AIFF and AU begin with chunks or fields of fixed places; ``inspect`` returns the bytes
to replace, so that libsndfile reads the file right.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vae2ch.audio.content import HEAD_BYTES
from vae2ch.audio.errors import DecodingError
from vae2ch.audio.writing import SOFTWARE

PCM, IEEE_FLOAT = 1, 3  # format tags of WAV
UNKNOWN_SIZE = 0xFFFFFFFF
MAX_CHUNKS = 1000
MAX_OGG_PAGE = 27 + 255 + 255 * 255  # bytes
LAST_PAGE = 4  # a flag
UNCLOSED = "its recorder did not close it: read to the end"


@dataclass
class Header:
    """What the first bytes of a file say, beyond what libsndfile takes from them."""

    patches: dict[int, bytes] = field(default_factory=dict)  # bytes to replace, by position
    remarks: list[str] = field(default_factory=list)
    is_result: bool = False  # written by this program
    shift: int = 0  # bits by which samples may lie too low in their containers


class Chunk(NamedTuple):
    """A chunk of a RIFF file."""

    name: bytes
    start: int  # of its contents
    size: int


def inspect(file: BinaryIO, head: bytes) -> Header:
    """Header of an open file with the first bytes ``head``.

    Raises ``DecodingError`` if it contradicts itself, ``OSError`` if it cannot be read.
    """
    size = os.fstat(file.fileno()).st_size
    header = Header()
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        inspect_riff(file, size, header)
    elif head[:4] == b".snd" and head[8:12] == bytes(4) and size > 32:
        header.patches[8] = struct.pack(">I", UNKNOWN_SIZE)
        header.remarks.append(UNCLOSED)
    elif head[:4] == b"caff":
        check_caf(file, head, size, header)
    elif head[:4] == b"OggS":
        check_ogg(file, size, header)
    elif head[:3] == b"ID3":
        check_tagged(file, head)
    return header


def check_tagged(file: BinaryIO, head: bytes) -> None:
    """Refuse an 8SVX file behind an ID3 tag, which libsndfile 1.2 would read without end."""
    sizes = head[6:10]
    file.seek(10 + sum(byte << shift for byte, shift in zip(sizes, (21, 14, 7, 0), strict=True)))
    start = file.read(12)
    if start[:4] == b"FORM" and start[8:12] in (b"8SVX", b"16SV"):
        raise DecodingError("is an 8SVX file behind an ID3 tag; remove the tag")


def inspect_riff(file: BinaryIO, size: int, header: Header) -> None:
    """Check the format and the length of a WAV file."""
    for chunk in chunks(file, size):
        if chunk.name == b"fmt ":
            check_format(chunk, file.read(16), header)
        elif chunk.name == b"LIST":
            header.is_result = names_this_program(file.read(min(chunk.size, 256)))
        elif chunk.name == b"data":
            check_length(file, chunk, size, header)
            return


def chunks(file: BinaryIO, size: int) -> Iterator[Chunk]:
    """Chunks of a RIFF file, each with the file at the beginning of its contents."""
    position = 12
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        name, length = struct.unpack("<4sI", head)
        yield Chunk(name, position + 8, length)
        position += 8 + length + length % 2
        if position >= size:
            return


def check_format(chunk: Chunk, fields: bytes, header: Header) -> None:
    """Compare the width of the samples with that of their containers; libsndfile believes the former."""
    if len(fields) < 16:
        return
    tag, channels, _, _, align, bits = struct.unpack("<HHIIHH", fields)
    if tag not in (PCM, IEEE_FLOAT) or not channels or not bits or not align:
        return
    container, rest = divmod(8 * align, channels)
    if container == (bits + 7) // 8 * 8 and not rest:
        return
    if rest or container not in ((8, 16, 24, 32) if tag == PCM else (32, 64)) or container < bits:
        raise contradiction(bits, channels, align)
    header.patches[chunk.start + 14] = struct.pack("<H", container)
    header.shift = container - bits if tag == PCM else 0
    header.remarks.append(f"{bits} bits in containers of {container}")


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


def check_length(file: BinaryIO, data: Chunk, size: int, header: Header) -> None:
    """Replace a length that was never filled in, and note what follows the end of the file that the header gives."""
    rest = size - data.start
    file.seek(0)
    riff, total = struct.unpack("<4sI", file.read(8))
    if riff == b"RIFF":
        if data.size == 0 and rest > 8 and not follows_chunk(file, data, size):
            header.patches[data.start - 4] = struct.pack("<I", min(rest, UNKNOWN_SIZE))
            header.remarks.append(UNCLOSED)
        elif 36 < total < size - 16:
            file.seek(8 + total + total % 2)
            if file.read(4) == b"RIFF":
                header.remarks.append(f"another file is joined to it, whose {size - 8 - total} bytes are not read")
    elif data.size in (0, UNKNOWN_SIZE):
        file.seek(12)
        if file.read(4) == b"ds64" and struct.unpack("<4xQQQ", file.read(28))[1] == 0 and rest > 8:
            sizes = struct.pack("<QQ", size - 8, rest)
            header.patches[20] = sizes
            header.remarks.append(UNCLOSED)


def follows_chunk(file: BinaryIO, data: Chunk, size: int) -> bool:
    """Whether a chunk follows an empty ``data``, and not the samples of a file that was not closed."""
    file.seek(data.start)
    name, length = struct.unpack("<4sI", file.read(8))
    return name.isascii() and name.decode().isprintable() and data.start + 8 + length <= size


def check_caf(file: BinaryIO, head: bytes, size: int, header: Header) -> None:
    """Check the width of the samples and the length of a CAF file (Apple: Core Audio Format)."""
    file.seek(20)
    fields = file.read(32)
    if head[8:12] == b"desc" and len(fields) == 32 and fields[8:12] == b"lpcm":
        packet, frames, channels, bits = struct.unpack(">IIII", fields[16:32])
        if frames == 1 and channels and packet != channels * ((bits + 7) // 8):
            raise contradiction(bits, channels, packet)
    position = 8
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        chunk = file.read(12)
        if len(chunk) < 12:
            return
        name, length = struct.unpack(">4sq", chunk)
        if name == b"data" or length < 0:
            if position + 12 + length > size:
                header.remarks.append(f"cut short: {position + 12 + length - size} bytes are missing")
            return
        position += 12 + length


def check_ogg(file: BinaryIO, size: int, header: Header) -> None:
    """Note a stream without its last page (RFC 3533)."""
    file.seek(max(0, size - MAX_OGG_PAGE))
    end = file.read()
    page = end.rfind(b"OggS")
    complete = page >= 0 and len(end) >= page + 27 and len(end) >= page + 27 + end[page + 26]
    if not complete or not end[page + 5] & LAST_PAGE:
        header.remarks.append("its end is missing")


def contradiction(bits: int, channels: int, size: int) -> DecodingError:
    """The error for samples that do not fit into their containers."""
    return DecodingError(
        f"its header contradicts itself: {channels} channel(s) of {bits} bits in {size} bytes; export it again"
    )
