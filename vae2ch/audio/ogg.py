"""Pages of an Ogg file (RFC 3533): where it ends, and where another one begins that is joined to it."""

from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO, NamedTuple

from vae2ch.audio.header import MIN_REST, Header

CAPTURE = b"OggS"
HEAD = 27  # bytes, before the lengths of the segments
FIRST, LAST = 2, 4  # flags
SEARCHED = 1 << 16  # bytes, at once, for the next page behind damage
# what a stream's first packet begins with, and those of its bytes that say codec, channels and rate
CODECS = {
    b"\x01vorbis": slice(16),
    b"OpusHead": slice(10),
    b"\x7fFLAC": slice(27, 30),
    b"Speex   ": slice(52),
}


class Page(NamedTuple):
    """A page, of which the contents are not read."""

    start: int
    end: int
    flags: int
    serial: bytes  # of its stream
    packet: bytes  # its first bytes, on the first page of a stream


def pages(file: BinaryIO, size: int) -> Iterator[Page]:
    """Pages of a file of ``size`` bytes; what lies between is passed over."""
    position: int | None = 0
    while position is not None and position < size:
        file.seek(position)
        head = file.read(HEAD)
        if len(head) == HEAD and head[:4] == CAPTURE:
            end = position + HEAD + head[26] + sum(file.read(head[26]))
            yield Page(position, end, head[5], head[14:18], file.read(64) if head[5] & FIRST else b"")
            position = end
        else:
            position = next_page(file, position + 1)


def next_page(file: BinaryIO, position: int) -> int | None:
    """Position of the next page behind damage."""
    file.seek(position)
    kept = b""
    while block := file.read(SEARCHED):
        found = (kept + block).find(CAPTURE)
        if found >= 0:
            return position - len(kept) + found
        position += len(block)
        kept = (kept + block)[-len(CAPTURE) + 1 :]
    return None


class Part(NamedTuple):
    """A file among several that are joined."""

    start: int
    serials: list[bytes]
    kinds: list[bytes]  # of its streams

    def can_follow(self, other: "Part") -> bool:
        """Whether FFmpeg, which has read another part, reads this one."""
        return sorted(self.kinds) == sorted(other.kinds) and self.serials != other.serials


def check_ogg(file: BinaryIO, size: int, header: Header) -> None:
    """Note a stream without its end, and leave out what is joined to it and is not read by FFmpeg."""
    parts: list[Part] = []
    end, flags, begins = 0, 0, False
    for page in pages(file, size):
        end, flags = page.end, page.flags
        if flags & FIRST:
            if not begins:
                parts.append(Part(page.start, [], []))
            parts[-1].serials.append(page.serial)
            parts[-1].kinds.extend(page.packet[CODECS[name]] for name in CODECS if page.packet.startswith(name))
        begins = bool(flags & FIRST)
    for before, part in pairwise(parts):
        if not part.can_follow(before):
            header.end_at(part.start, size)
            return
    if end > size or not flags & LAST:
        header.remarks.append("its end is missing")
    elif size - end > MIN_REST:
        header.rest(end, size)
