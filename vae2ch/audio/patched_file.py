"""A file with some bytes replaced, or its end left out, while it is read."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path


class PatchedFile:
    """An open file, up to the position ``end``, with bytes replaced by those of ``patches`` at their positions.

    It is read by C libraries, through which no error can pass: ``close`` raises it.
    """

    def __init__(self, path: Path, patches: Mapping[int, bytes], end: int | None = None) -> None:
        self.file, self.patches, self.end = path.open("rb"), patches, end
        self.error: OSError | None = None
        self.tell = self.file.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        """Position after moving, or -1 for one before the file, as a decoder may want from a damaged header."""
        if whence == os.SEEK_END and self.end is not None:
            offset, whence = self.end + offset, os.SEEK_SET
        try:
            return self.file.seek(offset, whence)
        except OSError as error:
            self.error = self.error if error.errno == errno.EINVAL else error
            return -1

    def read(self, count: int = -1) -> bytes:
        start = self.file.tell()
        if self.end is not None:
            rest = max(0, self.end - start)
            count = rest if count < 0 else min(count, rest)
        try:
            found = bytearray(self.file.read(count))
        except OSError as error:
            self.error = error
            return b""
        for position, replacement in self.patches.items():
            for offset, byte in enumerate(replacement, position - start):
                if 0 <= offset < len(found):
                    found[offset] = byte
        return bytes(found)

    def close(self) -> None:
        """Close the file. Raises ``OSError`` if it could not be read."""
        self.file.close()
        if self.error:
            raise self.error
