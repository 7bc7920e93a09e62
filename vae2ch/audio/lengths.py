"""Lengths that the headers of plain formats claim, as libsndfile logs them: it reads most of them to the file's end."""

import re
from typing import NamedTuple

import soundfile

from vae2ch.audio.header import LONGER, MIN_REST, UNCLOSED

MAX_CLAIMED = 2**40  # a larger number of samples is a placeholder
MAX_BYTES = 2**31 - 2**16  # so are more of a chunk
# bytes that are claimed, and those that are there
CHUNK_LENGTH = re.compile(
    r"^\s*(?:data|SSND|BODY|Data Size|Riff size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE
)
CLAIMS = {  # the claim, in samples or bytes, where ``frames`` of libsndfile are what is there
    "AVR": re.compile(r"Frames\s*: (?P<samples>\d+)"),
    "MPC2K": re.compile(r"Frames\s*: (?P<samples>\d+)"),
    "MAT4": re.compile(r"truncated\. \d+ <--> (?P<bytes>\d+)"),
    "MAT5": re.compile(r"wavedata\s+Type : \w+\s+Size : (?P<bytes>\d+)"),
    "WVE": re.compile(r"Data length (?P<bytes>\d+) should be"),
    "XI": re.compile(r"size\s*: (?P<bytes>[1-9]\d*)"),
}
FILE_LENGTH = re.compile(r"^Length : (\d+)", re.MULTILINE)
SDS_SAMPLES = re.compile(r"Samples/Block\s*: (\d+)")  # of a packet
SDS_HEAD, SDS_PACKET = 21, 127  # bytes
WIDTHS = {"PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1, "DPCM_8": 1, "PCM_16": 2, "DPCM_16": 2, "PCM_24": 3}
WIDTHS |= {"PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


class Lengths(NamedTuple):
    """Lengths of a file, in samples per channel."""

    claimed: int  # 0 if none is
    remark: str = ""
    limit: int = MAX_CLAIMED  # that are read


def lengths(file: soundfile.SoundFile, form: str, log: str) -> Lengths:
    """Lengths of a file that libsndfile has opened, with its format and what was logged."""
    frames = file.frames
    if form in CLAIMS:
        return plain_lengths(file, CLAIMS[form].search(log), form, log)
    if form == "SDS":
        return sds_lengths(frames, log)
    if "should be" in log and (found := CHUNK_LENGTH.search(log)):
        said, there = map(int, found.groups())
        if there and there < said < MAX_BYTES:
            return Lengths(round(frames * said / there))
    return Lengths(frames if frames < MAX_CLAIMED else 0)


def plain_lengths(file: soundfile.SoundFile, found: re.Match[str] | None, form: str, log: str) -> Lengths:
    """Lengths of a file in a format without chunks, with the claim that was found."""
    frames = file.frames
    width = file.channels * WIDTHS.get(file.subtype, 1)
    if not found:
        length = FILE_LENGTH.search(log)
        rest = int(length[1]) - frames * width if length else 0
        return Lengths(frames, unread(rest) if form == "MAT4" else "")
    said = int(found[1]) // (1 if "samples" in found.groupdict() else width)
    if (frames - said) * width > (0 if said == 0 else MIN_REST):
        return Lengths(frames, LONGER if said else UNCLOSED)
    return Lengths(max(said, frames))


def sds_lengths(frames: int, log: str) -> Lengths:
    """Lengths of a MIDI sample dump: libsndfile reads as many samples as are claimed, and makes up those missing."""
    length, samples = FILE_LENGTH.search(log), SDS_SAMPLES.search(log)
    if not length or not samples:
        return Lengths(frames)
    packets, per_packet = (int(length[1]) - SDS_HEAD) // SDS_PACKET, int(samples[1])
    rest = int(length[1]) - SDS_HEAD - -(-frames // per_packet) * SDS_PACKET
    return Lengths(frames, unread(rest), packets * per_packet)


def unread(count: int) -> str:
    """Remark on bytes after the samples."""
    return f"{count} bytes after its samples are not read" if count > MIN_REST else ""
