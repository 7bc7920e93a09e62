"""Decode by libsndfile, from the beginning of a file to its end."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from vae2ch.audio.errors import DecodingError
from vae2ch.audio.lengths import lengths
from vae2ch.audio.messages import captured_messages
from vae2ch.audio.patched_file import PatchedFile

BLOCK_SAMPLES = 1 << 16  # of each channel, decoded at once
MAX_BLOCK_VALUES = 1 << 19  # of all channels
DAMAGE = re.compile("error|skipped", re.IGNORECASE)  # in the messages of mpg123
SEVERAL_BLOCKS = "multi-segment"  # in the log of VOC files, whose heads libsndfile reads as samples
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
    """One pass over a file. Raises ``DecodingError`` if it is refused.

    ``patches`` are bytes to replace, by position; it is read up to the position ``end``. libsndfile stops at damage.
    What it prints to the descriptors ``printed`` is kept from the terminal.
    """

    def __init__(
        self, path: Path, patches: dict[int, bytes], printed: Sequence[int] = (), end: int | None = None
    ) -> None:
        self.damaged, self.printed, self.peak = False, printed, 0.0
        # a path is read faster
        self.source = path if not patches and end is None else PatchedFile(path, patches, end)
        with captured_messages(printed):
            self.file = opened(self.source)
        log = self.file.extra_info
        # python-soundfile would seek before every block, after which MP3 has false samples and FLAC may have none
        self.file.seekable = lambda: False
        self.rate = self.file.samplerate
        self.format = self.file.format
        if self.format == "VOC" and SEVERAL_BLOCKS in log:
            self.file.close()
            close(self.source)
            raise DecodingError("has several blocks")
        self.claimed, self.remark, self.limit = lengths(self.file, self.format, log)
        self.bits = BITS.get(self.file.subtype, 0)  # 0: not quantised to integers

    def blocks(self) -> Iterator[np.ndarray]:
        """Float32 samples [S, C], in blocks. Raises ``DecodingError`` at damage."""
        count = max(1, min(BLOCK_SAMPLES, MAX_BLOCK_VALUES // self.file.channels, self.file.frames + 1))
        left = self.limit
        with self.file:
            try:
                while left > 0 and (block := self.read(min(count, left))).size:
                    yield block
                    if len(block) < count:
                        break
                    left -= len(block)
            except soundfile.SoundFileError as error:
                raise DecodingError(reason_of(error)) from None
            finally:
                close(self.source)

    def read(self, count: int) -> np.ndarray:
        """The next samples [S, C], at most ``count`` of each channel."""
        with captured_messages(self.printed) as messages:
            block = self.file.read(count, dtype="float32", always_2d=True)
            printed = messages()
        if not printed or not DAMAGE.search(printed):
            if self.format == "MP3":
                self.peak = float(np.abs(block).max(initial=self.peak))
            return block
        self.damaged = True
        limit = self.peak or 1.0
        return np.clip(block, -limit, limit) if self.format == "MP3" else block  # there may be false samples in it


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
