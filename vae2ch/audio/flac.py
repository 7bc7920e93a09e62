"""The length of a FLAC file (RFC 9639) by its last frame: decoders stop at the length that its beginning claims."""

from typing import BinaryIO

from vae2ch.audio.header import MIN_REST, Header

TAIL = 1 << 16  # bytes that are searched at once; the last frame begins in the last ones, with few exceptions
TOTAL = 21  # position of the number of samples: 36 bits
LONGEST_HEAD = 16  # bytes of a frame's head
STREAM_INFO = 42  # bytes to its end
BLOCKS = {1: 192} | {kind: 576 << kind - 2 for kind in range(2, 6)} | {kind: 256 << kind - 8 for kind in range(8, 16)}
EXTRA_BYTES = {6: 1, 7: 2}  # that hold the samples of a block of another size
RATE_BYTES = {12: 1, 13: 2, 14: 2}


def check_flac(file: BinaryIO, size: int, header: Header) -> None:
    """Remove the claimed number of samples if the last frame lies behind it; note other bytes after that frame."""
    file.seek(0)
    info = file.read(STREAM_INFO)
    claimed = int.from_bytes(info[TOTAL : TOTAL + 5], "big") & (1 << 36) - 1
    if len(info) < STREAM_INFO:
        return
    position, end = last_frame(file, size, int.from_bytes(info[8:10], "big"))
    if end > claimed > 0:
        header.patches[TOTAL] = bytes((info[TOTAL] & 0xF0, 0, 0, 0, 0))  # unknown
        header.samples = claimed
    longest = int.from_bytes(info[15:18], "big")
    if end and longest and has_contents(file, position + longest, size):
        header.remarks.append(f"about {size - position - longest} bytes after its end are not read")


def last_frame(file: BinaryIO, size: int, fixed: int) -> tuple[int, int]:
    """Position of the last frame, and the number of samples up to its end; zeros if there is none."""
    for start in range(size - TAIL, -TAIL, -TAIL):
        start = max(start, STREAM_INFO)
        file.seek(start)
        tail = file.read(TAIL + LONGEST_HEAD)
        place = len(tail)
        while (place := tail.rfind(b"\xff", 0, place)) >= 0:
            if tail[place + 1 : place + 2] in (b"\xf8", b"\xf9") and (end := end_of_frame(tail[place:], fixed)):
                return start + place, end
    return 0, 0


def has_contents(file: BinaryIO, position: int, size: int) -> bool:
    """Whether more than padding or a tag follows the end of the last frame, at the latest at a position."""
    if size - position <= MIN_REST:
        return False
    file.seek(position)
    return any(block.strip(b"\0") for block in iter(lambda: file.read(TAIL), b""))


def end_of_frame(data: bytes, fixed: int) -> int:
    """Number of samples up to the end of the frame that ``data`` begins with; 0 if it is none.

    ``fixed``: samples of each frame, in a stream whose frames are numbered.
    """
    head = data[:LONGEST_HEAD]
    if len(head) < LONGEST_HEAD or head[2] < 16 or head[3] & 1:
        return 0
    more = max(0, 7 - (head[4] ^ 0xFF).bit_length())  # bytes of the number after its first
    number = head[4] & (0x3F >> more if more else 0x7F)
    place = 5 + more
    for byte in head[5:place]:
        number = number << 6 | byte & 0x3F
    kind = head[2] >> 4
    size = EXTRA_BYTES.get(kind, 0)
    block = BLOCKS.get(kind) or int.from_bytes(head[place : place + size], "big") + 1
    place += size + RATE_BYTES.get(head[2] & 15, 0)
    if crc8(head[:place]) != head[place]:
        return 0
    return number + block if head[1] & 1 else number * fixed + block


def crc8(data: bytes) -> int:
    """CRC with the polynomial x^8 + x^2 + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 & 0xFF ^ (0x07 if crc & 0x80 else 0)
    return crc
