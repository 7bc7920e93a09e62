"""Decode by libsndfile, from the beginning of a file to its end."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from vae2ch.audio.errors import DecodingError
from vae2ch.audio.messages import captured_messages
from vae2ch.audio.patched_file import PatchedFile

BLOCK_SAMPLES = 1 << 16  # of each channel, decoded at once
MAX_BLOCK_VALUES = 1 << 19  # of all channels
MAX_CLAIMED = 2**40  # a larger number of samples is a placeholder
LENGTH_IN_LOG = re.compile(r"^\s*(?:data|SSND|Data Size|Riff size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
REASONS = {
    "Format not recognised": "its format is not known",
    "File does not exist or is not a regular file (possibly a pipe?)": "its format is not known",
    "Supported file format but file is malformed": "its header is damaged",
    "Internal error : SF_INFO struct incomplete": "its header is damaged",
    "SF_INFO struct incomplete": "its header is damaged",
    "Unspecified internal error": "it is damaged",
    "flac decoder lost sync": "it is damaged or cut short",
}
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


class LibsndfileDecoder:
    """One pass over a file; ``patches`` are bytes to replace, by position. Raises ``DecodingError`` if it is refused.

    libsndfile believes the length in a header, and stops at damage. What it prints to the descriptors ``printed`` is
    kept from the terminal.
    """

    def __init__(self, path: Path, patches: dict[int, bytes], printed: Sequence[int]) -> None:
        self.damaged, self.printed = False, printed
        self.source = PatchedFile(path, patches) if patches else path  # a path is read faster
        with captured_messages(printed):
            self.file = opened(self.source)
        # python-soundfile would seek before every block, after which MP3 has false samples and FLAC may have none
        self.file.seekable = lambda: False
        self.rate = self.file.samplerate
        self.format = self.file.format
        frames = self.file.frames
        self.claimed = frames if frames < MAX_CLAIMED else 0
        if "should be" in (log := self.file.extra_info) and (found := LENGTH_IN_LOG.search(log)):
            said, there = map(int, found.groups())
            if there and there < said < 2**31 - 2**16:  # larger ones are placeholders of streams
                self.claimed = round(frames * said / there)
        self.bits = BITS.get(self.file.subtype, 0)  # 0: not quantised to integers

    def blocks(self) -> Iterator[np.ndarray]:
        """Float32 samples [S, C], in blocks. Raises ``DecodingError`` at damage."""
        count = max(1, min(BLOCK_SAMPLES, MAX_BLOCK_VALUES // self.file.channels, self.file.frames + 1))
        with self.file:
            try:
                while (block := self.read(count)).size:
                    yield block
                    if len(block) < count:
                        break
            except soundfile.SoundFileError as error:
                raise DecodingError(reason_of(error)) from None
            finally:
                close(self.source)

    def read(self, count: int) -> np.ndarray:
        """The next samples [S, C], at most ``count`` of each channel."""
        with captured_messages(self.printed) as messages:
            block = self.file.read(count, dtype="float32", always_2d=True)
            self.damaged = self.damaged or "error" in messages().lower()
        return block


def opened(source: Path | PatchedFile) -> soundfile.SoundFile:
    """Open a file with libsndfile. Raises ``DecodingError``."""
    name = os.fsencode(source) if isinstance(source, Path) and os.name == "posix" else source  # of any bytes
    try:
        return soundfile.SoundFile(name)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:  # python-soundfile: no name of a new subtype
        close(source)
        raise DecodingError(reason_of(error)) from None


def close(source: Path | PatchedFile) -> None:
    """Close an open file; libsndfile closes those that it has opened by their path."""
    if isinstance(source, PatchedFile):
        source.close()


def reason_of(error: Exception) -> str:
    """Reason that libsndfile gives, in words that say what to look for."""
    text = str(error).rsplit(": ", 1)[-1].strip(" .")
    return REASONS.get(text, text[:1].lower() + text[1:])
