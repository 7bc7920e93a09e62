"""Cache of decoded sounds on disk: a folder is decoded once, and again only where files have changed.

Each collection has a folder for each sample rate, with ``index.json`` (the ``Entry`` of each file) and ``*.f32``
(mono float32 samples of all files that one scan decoded). What is missing or damaged is decoded again; where nothing
can be written the sounds stay in memory.
"""

import errno
import functools
import hashlib
import json
import mmap
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO, NamedTuple, get_type_hints

import numpy as np
import soundfile
import soxr

VERSION = 3  # raised when decoding or resampling changes its result
LIBRARIES = (f"libsndfile {soundfile.__libsndfile_version__}", f"soxr {soxr.__version__}", f"PyAV {version('av')}")
BYTES_PER_SAMPLE = 4
ABANDONED_SECONDS = 24 * 3600  # age from which files of samples that no index names are deleted


@dataclass(frozen=True)
class Entry:
    """What is known of a file: where its samples are, or the reason why there are none."""

    fingerprint: str  # size and times of change
    refused: str = ""
    digest: str = ""  # SHA-256 of the decoded samples
    remark: str = ""
    file: str = ""  # of samples
    start: int = 0  # first sample in that file
    samples: int = 0
    step: float = 0.0  # of quantisation


class StoredSamples(NamedTuple):
    """Place of a sound's samples in a scan's file."""

    start: int
    length: int


class SampleCache:
    """The cache of the collection in ``root`` at a sample rate, in ``folder``; disabled if that is None.

    Collections that are read for another ``purpose``, with other rules, have caches of their own.
    """

    def __init__(self, folder: Path | None, root: Path, sample_rate: int, purpose: str = "") -> None:
        parts = (VERSION, *LIBRARIES, sample_rate, purpose, root.resolve())
        key = ":".join(map(str, parts)).encode(errors="surrogateescape")
        self.disabled = folder is None
        self.folder = (folder or Path()) / hashlib.sha256(key).hexdigest()[:16]
        self.root = root
        self.known = self.read_index()
        self.found: dict[str, Entry] = {}
        self.file_name = f"{uuid.uuid4().hex}.f32"  # unique, so that simultaneous scans do not interfere
        self.file: IO[bytes] | None = None
        self.length = 0  # samples written to that file

    def close(self) -> None:
        """Write the index; to be called after every scan."""
        if self.file is not None:
            self.file.close()
        if self.found != self.known:
            try:
                self.write_index()
            except OSError as reason:
                self.disable(reason)

    def lookup(self, name: str, path: Path) -> Entry | None:
        """Entry of a file, if the file is unchanged and its samples exist."""
        entry = self.known.get(name)
        if entry is None or entry.fingerprint != fingerprint(path) or not (entry.refused or self.has_samples(entry)):
            return None
        self.found[name] = entry
        return entry

    def has_samples(self, entry: Entry) -> bool:
        """Whether the file of samples is long enough."""
        try:
            size = (self.folder / entry.file).stat().st_size
        except OSError:
            return False
        return entry.samples > 0 and BYTES_PER_SAMPLE * (entry.start + entry.samples) <= size

    def reader(self, entry: Entry) -> Callable[[], np.ndarray]:
        """Function that returns the samples of an entry; to be called after the scan that wrote them."""
        return functools.partial(stored_samples, str(self.folder / entry.file), entry.start, entry.samples)

    def store(self, name: str, entry: Entry, samples: StoredSamples | None = None) -> Entry:
        """Add the entry of a file, with its samples, if any; returns it with their place."""
        if samples is not None:
            entry = replace(entry, file=self.file_name, start=samples.start, samples=samples.length)
        if entry.fingerprint and not self.disabled:
            self.found[name] = entry
        return entry

    def append(self, blocks: Iterable[np.ndarray]) -> StoredSamples | None:
        """Append blocks of samples [S] to this scan's file, all or nothing; None where they cannot be written."""
        if self.disabled:
            return None
        start = self.length
        try:
            for block in blocks:
                self.write(np.ascontiguousarray(block, dtype=np.float32).tobytes())
                self.length += block.size
        except OSError as reason:
            self.remove_from(start)
            self.disable(reason)
            return None
        except BaseException:
            self.remove_from(start)
            raise
        return StoredSamples(start, self.length - start)

    def write(self, samples: bytes) -> None:
        """Write to this scan's file. Raises ``OSError`` if it fails, or is not complete."""
        if self.file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = (self.folder / self.file_name).open("wb", buffering=0)
        if self.file.write(samples) != len(samples):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def remove_from(self, start: int) -> None:
        """Remove the samples from ``start`` on."""
        self.length = start
        if self.file is not None:
            self.file.truncate(BYTES_PER_SAMPLE * start)
            self.file.seek(BYTES_PER_SAMPLE * start)

    def disable(self, reason: OSError) -> None:
        """Stop writing, with one message; the run goes on."""
        if not self.disabled:
            text = f"decoded sounds are not cached in {self.folder}: {reason.strerror or reason}"
            print(f"vae2ch: {text}", file=sys.stderr)
        self.disabled = True

    def read_index(self) -> dict[str, Entry]:
        """Entries that earlier scans wrote; none if the index is missing or damaged, or the cache disabled."""
        try:
            entries = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
            known = {name: Entry(**entry) for name, entry in entries.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
        types = get_type_hints(Entry).items()
        typed = all(isinstance(getattr(entry, name), kind) for entry in known.values() for name, kind in types)
        return known if typed and not self.disabled else {}

    def write_index(self) -> None:
        """Write the index atomically, and delete abandoned files of samples."""
        # entries of simultaneous scans, and of files that this scan did not reach, are kept if the files exist
        others = {name: entry for name, entry in self.read_index().items() if (self.root / name).exists()}
        self.found = {**others, **self.found}
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{self.file_name}.json"
        temporary.write_text(json.dumps({name: vars(entry) for name, entry in self.found.items()}), encoding="utf-8")
        os.replace(temporary, self.folder / "index.json")
        named = {entry.file for entry in self.found.values()}
        for path in self.folder.glob("*.f32"):
            # a recent one may be of a simultaneous scan that has not written its index yet
            if path.name not in named and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink(missing_ok=True)


def stored_samples(path: str, start: int, count: int) -> np.ndarray:
    """Part of a file of samples, mapped from disk  [count]"""
    return map_file(path)[start : start + count]


@functools.lru_cache(maxsize=64)
def map_file(path: str) -> np.ndarray:
    """A whole file of samples, mapped copy-on-write: changes stay in this process."""
    return np.asarray(np.memmap(path, dtype=np.float32, mode="c"))  # slices of a memmap take longer


def release(wave: np.ndarray) -> None:
    """Give the mapped pages of a file of samples back to the system, where it can take them."""
    owner: object = wave
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def fingerprint(path: Path) -> str:
    """Size and times of change of a file, as text; "" if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
