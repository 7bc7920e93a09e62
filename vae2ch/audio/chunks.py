"""Chunks of RIFF (EBU Tech 3306 for RF64), AIFF, Wave64 and CAF files."""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from vae2ch.audio.content import HEAD_BYTES, is_sound
from vae2ch.audio.header import MIN_REST, MIN_TAIL

MAX_CHUNKS = 1000
MAX_SIZE = 2**62  # of a file; a larger one is a placeholder
NAME_BYTES = 4  # of a name that are compared


class Layout(NamedTuple):
    """How the chunks of a format lie in a file."""

    start: int  # of the first chunk
    name: int  # bytes of a chunk's name
    size: str  # format of a chunk's size, for ``struct``
    counted: int  # bytes of a chunk's head that its size includes
    align: int  # chunks begin at multiples of this


RIFF = Layout(12, 4, "<I", 0, 2)
RIFX = AIFF = Layout(12, 4, ">I", 0, 2)
WAVE64 = Layout(40, 16, "<Q", 24, 8)
CAF = Layout(8, 4, ">q", 0, 1)


class Chunk(NamedTuple):
    """A chunk of a file."""

    name: bytes  # the first four bytes
    start: int  # of its contents
    size: int  # of its contents

    @property
    def end(self) -> int:
        return self.start + self.size


def layout_of(head: bytes) -> Layout | None:
    """Layout of a file that begins with ``head``, None if it has no chunks or is of another kind."""
    if head[8:12] == b"WAVE":
        return {b"RIFF": RIFF, b"RF64": RIFF, b"BW64": RIFF, b"RIFX": RIFX}.get(head[:4])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
        return AIFF
    return {b"riff": WAVE64, b"caff": CAF}.get(head[:4])


def chunks(file: BinaryIO, size: int, layout: Layout) -> Iterator[Chunk]:
    """Chunks of a file of ``size`` bytes, each with the file at the beginning of its contents."""
    position = layout.start
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        chunk = chunk_at(file, position, layout)
        if chunk is None:
            return
        yield chunk
        position = chunk.end + -chunk.end % layout.align
        if chunk.size < 0 or position >= size:
            return


def chunk_at(file: BinaryIO, position: int, layout: Layout) -> Chunk | None:
    """The chunk whose head begins at the position of the file; None at its end."""
    length = layout.name + struct.calcsize(layout.size)
    head = file.read(length)
    if len(head) < length:
        return None
    (count,) = struct.unpack(layout.size, head[layout.name :])
    return Chunk(head[:NAME_BYTES], position + length, max(count - layout.counted, 0) if layout.counted else count)


def following(chunk: Chunk, layout: Layout) -> tuple[int, int]:
    """Positions at which the next chunk may begin, as some programs do not align chunks."""
    return chunk.end + -chunk.end % layout.align, chunk.end


def next_file(file: BinaryIO, data: Chunk, size: int, layout: Layout) -> int | None:
    """Position of another sound file that follows the samples, or the chunks after them; a tag is none."""
    chunk: Chunk | None = data
    for _ in range(MAX_CHUNKS):
        if chunk is None or not 0 <= chunk.size < size - chunk.start:
            return None
        places = following(chunk, layout)
        for position in places:
            file.seek(position)
            head = file.read(HEAD_BYTES)
            if is_sound(head) and head[:3] != b"ID3":
                return position
        file.seek(places[0])
        chunk = chunk_at(file, places[0], layout)
    return None


def is_followed_by_sound(file: BinaryIO, data: Chunk, size: int, layout: Layout) -> bool:
    """Whether the samples go on after the chunk that should hold them: what follows there is much, and no chunk."""
    return size - data.end >= (8 if data.size <= 8 else MIN_REST) and not is_followed_by_chunk(file, data, size, layout)


def is_followed_by_other(file: BinaryIO, data: Chunk, size: int, layout: Layout) -> bool:
    """Whether what follows the samples is little, but neither a chunk nor padding or a tag."""
    if not MIN_TAIL < size - data.end < MIN_REST or is_followed_by_chunk(file, data, size, layout):
        return False
    file.seek(data.end)
    return bool(file.read().strip(b"\0"))


def is_followed_by_chunk(file: BinaryIO, data: Chunk, size: int, layout: Layout) -> bool:
    """Whether a chunk follows the samples, or nothing."""
    for position in following(data, layout):
        file.seek(position)
        found = chunk_at(file, position, layout)
        if found is None or is_chunk(found, size):
            return True
    return False


def is_chunk(chunk: Chunk, size: int) -> bool:
    """Whether a name is one, and the chunk ends in the file; or it is cut short, but has an ordinary name."""
    if not (chunk.name.isascii() and chunk.name.decode().isprintable()):
        return False
    return 0 <= chunk.size <= size - chunk.start or chunk.name.strip().isalnum()
