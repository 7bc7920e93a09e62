"""Random damage to the bytes of a file. A mutation takes contents, random numbers, and the contents of another file."""

import random
import re
import struct
import zlib

HEADER = 160  # bytes at the start and at the end that are damaged more often than others
BLOCK = 4096  # largest block that is moved or removed
EXTREMES = (0, 1, 2, -1, -2, 2**7, 2**15, 2**31, 2**63, 2**15 - 1, 2**31 - 1, 2**63 - 1, 1 << 24, 48000, 10**9)
CHUNKS = (b"LIST", b"data", b"fmt ", b"fact", b"COMM", b"SSND", b"desc", b"pakt", b"PEAK", b"bext", b"id3 ", b"zzzz")


def place(data: bytes, chance: random.Random) -> int:
    """Offset of a byte: often in the header, sometimes near the end, otherwise anywhere."""
    where, last = chance.random(), max(len(data) - 1, 0)
    if where < 0.45:
        return chance.randint(0, min(HEADER, last))
    if where < 0.55:
        return chance.randint(max(0, last - HEADER), last)
    return chance.randint(0, last)


def span(data, chance):
    """Start and end of a block of at most ``BLOCK`` bytes."""
    start = place(data, chance)
    return start, min(len(data), start + int(2 ** chance.uniform(0, 12)))


def overwritten(data, start, new):
    """The same number of bytes, with some that are new."""
    return data[:start] + new[: max(0, len(data) - start)] + data[start + len(new) :]


def flip_bits(data, chance, other):
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        if data:
            data[place(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(data)


def overwrite(data, chance, other):
    start, end = span(data, chance)
    length = end - start
    return overwritten(data, start, chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length))))


def zero_hole(data, chance, other):
    """A hole as of an interrupted download: whole blocks of zeros."""
    start = chance.randrange(0, len(data) + 1, 512)
    return overwritten(data, start, bytes(512 * chance.randint(1, 64)))


def cut_end(data, chance, other):
    return data[: place(data, chance)]


def cut_start(data, chance, other):
    return data[place(data, chance) :]


def remove_block(data, chance, other):
    start, end = span(data, chance)
    return data[:start] + data[end:]


def double_block(data, chance, other):
    start, end = span(data, chance)
    return data[:end] + data[start:end] * chance.choice((1, 1, 5)) + data[end:]


def swap_blocks(data, chance, other):
    (start, end), (second, _) = span(data, chance), span(data, chance)
    first, moved = data[start:end], data[second : second + end - start]
    return overwritten(overwritten(data, start, moved), second, first)


def insert_noise(data, chance, other):
    start = place(data, chance)
    return data[:start] + chance.randbytes(int(2 ** chance.uniform(0, 12))) + data[start:]


def extreme(chance, old, size, total):
    """A value for an unsigned field of ``size`` bytes whose value is ``old``, in a file of ``total`` bytes."""
    near = (old - 1, old + 1, 2 * old, old // 2, total, total - 8, -old)
    return chance.choice((*EXTREMES, *near)) % 256**size


def set_field(data, chance, other):
    """A field of the header, or after a name of four letters, set to an extreme value in either byte order."""
    size, order = chance.choice((1, 2, 2, 4, 4, 4, 8)), chance.choice(("little", "big"))
    names = [found.end() for found in re.finditer(rb"[A-Za-z]{3}[A-Za-z0-9 ]", data[:4096])]
    start = chance.choice(names) + chance.choice((0, 0, 0, 4, 8)) if names and chance.random() < 0.6 else None
    start = chance.randrange(min(HEADER, len(data)) or 1) if start is None else start
    value = extreme(chance, int.from_bytes(data[start : start + size], order), size, len(data))
    return overwritten(data, start, value.to_bytes(size, order))


def set_number(data, chance, other):
    """A number that is written in digits, as in NIST and PVF, set to an extreme value."""
    numbers = list(re.finditer(rb"\d+", data[:1024]))
    if not numbers:
        return set_field(data, chance, other)
    found = chance.choice(numbers)
    value = chance.choice((0, 1, -1, 10**9, 2**31, 2**63, 10**40, int(found[0]) + 1, int(found[0]) - 1, "nan", ""))
    return data[: found.start()] + str(value).encode() + data[found.end() :]


def destroy_magic(data, chance, other):
    return overwritten(data, chance.choice((0, 0, 4, 8)), chance.choice((bytes(4), chance.randbytes(4), other[:4])))


def insert_chunk(data, chance, other):
    """A chunk of RIFF, AIFF or CAF with any size, after the header of the file or anywhere."""
    start = chance.choice((12, 8, 36, 40, place(data, chance)))
    content = chance.randbytes(chance.choice((0, 1, 8, 300)))
    size = extreme(chance, len(content), 4, len(data)) if chance.random() < 0.7 else len(content)
    head = chance.choice(CHUNKS) + size.to_bytes(4, chance.choice(("little", "big")))
    return data[:start] + head + content + data[start:]


def damage_frame(data, chance, other):
    """The header of a frame of MPEG or FLAC, which begins with eleven bits that are set."""
    frames = [found.start() for found in re.finditer(rb"\xff[\xe0-\xff]", data)]
    if not frames:
        return set_field(data, chance, other)
    data = bytearray(data)
    for start in chance.sample(frames, min(len(frames), chance.choice((1, 1, 3, 20)))):
        for offset in range(start + 1, min(start + chance.choice((2, 3, 4, 6, 36)), len(data))):
            data[offset] = chance.randrange(256)
    return bytes(data)


def damage_page(data, chance, other):
    """A page of an Ogg file, whose checksum then fits, so that the damage goes through to the decoder."""
    pages = [found.start() for found in re.finditer(b"OggS", data)]
    if not pages:
        return set_field(data, chance, other)
    start = chance.choice((pages[0], pages[min(1, len(pages) - 1)], chance.choice(pages)))
    end = min((page for page in pages if page > start), default=len(data))
    page = bytearray(data[start:end])
    for _ in range(chance.choice((1, 1, 3))):
        page[chance.randint(min(4, len(page) - 1), min(len(page) - 1, chance.choice((27, 80, 10**6))))] = chance.choice(
            (0, 255, 1, 127, chance.randrange(256))
        )
    return data[:start] + with_page_checksum(bytes(page)) + data[end:]


def with_page_checksum(page):
    """An Ogg page with its checksum: CRC-32 with the polynomial 04c11db7, not reflected, of the page with zeros."""
    page = overwritten(page, 22, bytes(4))
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ CRC_TABLE[crc >> 24 ^ byte]
    return overwritten(page, 22, struct.pack("<I", crc))


def crc_of_byte(byte):
    crc = byte << 24
    for _ in range(8):
        crc = (crc << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
    return crc


CRC_TABLE = [crc_of_byte(byte) for byte in range(256)]


def join(data, chance, other):
    start = chance.choice((len(data), len(data), 0, place(data, chance)))
    return data[:start] + other + data[start:]


def tag_before(data, chance, other):
    """ID3v2, with a size that is right or not; zeros or noise."""
    content = chance.choice((bytes(200), b"TIT2\0\0\0\5\0\0\0abcd" + bytes(100), chance.randbytes(500)))
    size = len(content) if chance.random() < 0.6 else extreme(chance, len(content), 4, len(data)) % 2**28
    sizes = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))  # seven bits in each byte
    head = b"ID3" + bytes((chance.choice((2, 3, 4, 255)), 0, chance.choice((0, 0, 16, 64, 128)))) + sizes
    return chance.choice((head + content, head + content, bytes(1000), chance.randbytes(1000))) + data


def tag_after(data, chance, other):
    """ID3v1, APE, or the remains of something else."""
    size = extreme(chance, 64, 4, len(data)).to_bytes(4, "little")
    ape = b"APETAGEX" + struct.pack("<I", 2000) + size + struct.pack("<II8x", 1, 0)
    return data + chance.choice((b"TAG" + bytes(125), ape, b"LYRICSBEGIN000009LYRICS200", bytes(700), other[:700]))


ANY_FILE = (flip_bits, overwrite, zero_hole, cut_end, cut_start, remove_block, double_block, swap_blocks)
ANY_FILE += (insert_noise, set_field, set_field, join)
SOUND_FILE = (*ANY_FILE, set_field, set_field, set_number, destroy_magic, insert_chunk, damage_frame, damage_page)
SOUND_FILE += (tag_before, tag_after)


def mutate(data, chance, other, functions):
    """Contents after one to three mutations, and their names."""
    names = []
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3))):
        function = chance.choice(functions)
        data = function(data, chance, other)
        names.append(function.__name__)
    return data, names


def digest(data):
    """Short text by which equal contents can be recognised."""
    return f"{len(data)} bytes, CRC {zlib.crc32(data):08x}"
