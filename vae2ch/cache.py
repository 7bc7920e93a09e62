"""Decoded sounds, kept on disk: a folder is decoded once, and again only where it has changed.

One folder per collection and sample rate:

    index.json      for every file its stamp and either where its samples are or why it was refused
    *.f32           samples, mono float32, of all the files that one scan decoded, one after the other

Samples are memory-mapped, so that a collection needs no more memory than what is being looked at.
A cache is a convenience: whatever is missing, damaged or of another version is decoded anew, and where
nothing can be written the sounds stay in memory.
"""

import errno
import hashlib
import json
import os
import sys
import time
import uuid
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

ABANDONED = 24 * 3600  # seconds after which samples that no index names are nobody's
VERSION = 1  # raised when decoding or resampling changes what comes out


@dataclass(frozen=True)
class Kept:
    """What is known of a decoded file: where its samples are, or the reason why there are none."""

    stamp: str
    refused: str = ""
    digest: str = ""
    remark: str = ""
    block: str = ""  # the file of samples
    start: int = 0  # where in it
    samples: int = 0


class Cache:
    """The cache of one collection at one sample rate; ``with`` it, a scan's findings are written at the end.

    Args:
        folder: of all caches; nothing is kept where it is None
        root: of the collection
        sample_rate: Hz
    """

    def __init__(self, folder: Path | None, root: Path, sample_rate: int) -> None:
        key = f"{VERSION}:{sample_rate}:{root.resolve()}".encode(errors="surrogateescape")
        self.folder = folder and folder / hashlib.sha256(key).hexdigest()[:16]
        self.root = root
        self.known = self.read()
        self.found: dict[str, Kept] = {}
        self.maps: dict[str, np.ndarray] = {}
        self.block = f"{uuid.uuid4().hex}.f32"  # a name of its own: two scans at once don't meet
        self.file: IO[bytes] | None = None
        self.length = 0
        self.full = False  # nothing more can be written

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.file is not None:
            self.file.close()
        if self.folder is not None and self.found != self.known:
            try:
                self.write()
            except OSError as reason:
                self.say(reason)

    def read(self) -> dict[str, Kept]:
        """The index as it was left, or nothing."""
        try:
            entries = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
            known = {name: Kept(**entry) for name, entry in entries.items()}
        except (OSError, ValueError, TypeError, AttributeError):  # not there, or not an index
            return {}
        sound = all(isinstance(getattr(kept, part.name), part.type) for kept in known.values() for part in fields(Kept))
        return known if sound else {}

    def write(self) -> None:
        """The index, as a whole or not at all; old samples that it does not name are removed.

        What another scan has found meanwhile stays, and what this one did not come to (it was interrupted,
        or looked at some of the files), as long as the file is there.
        """
        before = {name: kept for name, kept in self.read().items() if (self.root / name).exists()}
        self.found = {**before, **self.found}
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{self.block}.json"
        temporary.write_text(json.dumps({name: asdict(kept) for name, kept in self.found.items()}), encoding="utf-8")
        os.replace(temporary, self.folder / "index.json")
        named = {kept.block for kept in self.found.values()}
        for path in self.folder.glob("*.f32"):
            # a young one may be another scan's, that has not named it yet
            if path.name not in named and time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink(missing_ok=True)

    def say(self, reason: OSError) -> None:
        """Tell once that sounds are not kept; the run goes on."""
        if not self.full:
            print(f"vae2ch: decoded sounds are not kept in {self.folder}: {reason.strerror or reason}", file=sys.stderr)
        self.full = True

    @staticmethod
    def stamp(path: Path) -> str:
        """What changes when a file does: its size, and its times of change; empty where there is no file."""
        try:
            status = path.stat()
        except OSError:
            return ""
        return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"

    def get(self, name: str, path: Path) -> Kept | None:
        """What is known of a file, if it is still as it was and its samples are there."""
        kept = self.known.get(name)
        if kept is None or kept.stamp != self.stamp(path) or not (kept.refused or self.wave(kept) is not None):
            return None
        self.found[name] = kept
        return kept

    def put(self, name: str, kept: Kept, wave: np.ndarray | None = None) -> bool:
        """Remember a file; its samples [S] go to the end of this scan's block. Returns whether they did."""
        if self.folder is None or self.full or not kept.stamp:
            return False
        if wave is not None:
            try:
                self.append(np.ascontiguousarray(wave, dtype=np.float32).tobytes())
            except OSError as reason:
                self.say(reason)
                return False
            kept = replace(kept, block=self.block, start=self.length, samples=wave.size)
            self.length += wave.size
        self.found[name] = kept
        return wave is not None

    def append(self, samples: bytes) -> None:
        """Write to this scan's block, all of it or nothing."""
        if self.file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = (self.folder / self.block).open("wb", buffering=0)
        try:
            if self.file.write(samples) != len(samples):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self.file.truncate(4 * self.length)
            raise

    def wave(self, kept: Kept) -> np.ndarray | None:
        """The samples [S], mapped; None if they are not there."""
        if kept.block not in self.maps:
            try:
                # copy on write: whoever changes a sound changes nothing on disk
                self.maps[kept.block] = np.memmap(self.folder / kept.block, dtype=np.float32, mode="c")
            except (OSError, ValueError, TypeError):
                return None
        wave = self.maps[kept.block][kept.start : kept.start + kept.samples]
        return wave if wave.size == kept.samples > 0 else None

    def recall(self, name: str) -> np.ndarray | None:
        """The samples [S] of a file that was put or found, mapped; None if they are not there."""
        kept = self.found.get(name)
        return None if kept is None else self.wave(kept)
