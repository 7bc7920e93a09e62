"""Lengths in the headers of NIST, VOC and HTK files: libsndfile passes over them, or refuses a file that differs."""

import re
from typing import BinaryIO

from vae2ch.audio.header import Header

NIST_HEAD = 1024
NIST_FIELD = re.compile(rb"(sample_count|sample_n_bytes|channel_count) -\w+ (\d+)")
NIST_CODINGS = (b"pcm", b"ulaw", b"alaw", b"mu-law")
VOC_HEAD = 26
VOC_KINDS = range(10)  # of blocks; 0 ends the file
VOC_FIELDS = 12  # bytes before the samples of a block, at most
MAX_VOC_BLOCK = (1 << 24) - 1  # bytes
HTK_HEAD = 12  # bytes: number of samples, their period in 100 ns, their bytes, their kind
HTK_WAVEFORM = b"\0\2\0\0"  # the latter two
HTK_PERIODS = range(10, 10001)


def check_nist(file: BinaryIO, size: int, header: Header) -> None:
    """Compare the number of samples of a NIST file (SPHERE) with the file."""
    file.seek(0)
    text = file.read(NIST_HEAD)
    coding = re.search(rb"sample_coding -s\d+ (\S+)", text)
    fields = {name: int(number) for name, number in NIST_FIELD.findall(text)}
    if len(fields) == 3 and (not coding or coding[1] in NIST_CODINGS):
        count = fields[b"sample_count"] * fields[b"sample_n_bytes"] * fields[b"channel_count"]
        header.compare(NIST_HEAD + count, size, is_empty=not count)


def check_voc(file: BinaryIO, size: int, header: Header) -> None:
    """Compare the blocks of a VOC file with the file; a false length of the last one is replaced."""
    header.has_length = False
    start, length = VOC_HEAD, 0
    position = start
    while position < size:
        file.seek(position)
        kind, *sizes = file.read(4).ljust(4, b"\0")
        if kind == 0:
            header.rest(position + 1, size)
            return
        if kind not in VOC_KINDS:  # samples of the block before
            break
        start, length = position, int.from_bytes(bytes(sizes), "little")
        position = start + 4 + length
    if position != size and size >= start + 4:
        if header.compare(position, size, is_empty=length <= VOC_FIELDS):
            file.seek(size - 1)
            size -= file.read(1) == b"\0"  # the end of the file
        header.patches[start + 1] = min(size - start - 4, MAX_VOC_BLOCK).to_bytes(3, "little")


def is_htk(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an HTK waveform."""
    return head[8:HTK_HEAD] == HTK_WAVEFORM and int.from_bytes(head[4:8], "big") in HTK_PERIODS


def check_htk(head: bytes, size: int, header: Header) -> None:
    """Compare the number of samples of an HTK file with the file; libsndfile refuses one that is not right."""
    count, there = int.from_bytes(head[:4], "big"), (size - HTK_HEAD) // 2
    if count != there and size > HTK_HEAD:
        header.compare(HTK_HEAD + 2 * count, size, is_empty=not count)
        header.patches[0] = there.to_bytes(4, "big")
        header.end = HTK_HEAD + 2 * there
