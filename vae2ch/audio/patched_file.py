"""A file with some bytes replaced while it is read."""

import errno
from collections.abc import Mapping
from pathlib import Path


class PatchedFile:
    """An open file, with bytes replaced by those of ``patches`` at their positions.

    It is read by C libraries, through which no error can pass: ``close`` raises it.
    """

    def __init__(self, path: Path, patches: Mapping[int, bytes]) -> None:
        self.file, self.patches = path.open("rb"), patches
        self.error: OSError | None = None
        self.tell = self.file.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        """Position after moving, or -1 for one before the file, as a decoder may want from a damaged header."""
        try:
            return self.file.seek(offset, whence)
        except OSError as error:
            self.error = self.error if error.errno == errno.EINVAL else error
            return -1

    def read(self, count: int = -1) -> bytes:
        start = self.file.tell()
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
