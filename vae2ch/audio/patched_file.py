"""A file with some bytes replaced while it is read."""

from collections.abc import Mapping
from pathlib import Path


class PatchedFile:
    """An open file, with bytes replaced by those of ``patches`` at their positions."""

    def __init__(self, path: Path, patches: Mapping[int, bytes]) -> None:
        self.file, self.patches = path.open("rb"), patches
        self.seek, self.tell, self.close = self.file.seek, self.file.tell, self.file.close

    def read(self, count: int = -1) -> bytes:
        start = self.file.tell()
        found = bytearray(self.file.read(count))
        for position, replacement in self.patches.items():
            for offset, byte in enumerate(replacement, position - start):
                if 0 <= offset < len(found):
                    found[offset] = byte
        return bytes(found)
