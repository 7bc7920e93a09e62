"""Decode all sound files of a folder, through the cache: usable sounds, and refused files with reasons."""

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from vae2ch import audio
from vae2ch.audio import DecodingError
from vae2ch.data.cache import Entry, SampleCache, fingerprint
from vae2ch.errors import InputError
from vae2ch.terminal import ProgressDisplay

SILENCE_PEAK = 1e-6  # -120 dB; a file with a lower peak is silent


@dataclass(frozen=True)
class Sound:
    """A decoded file; it can be pickled."""

    name: str  # path relative to the scanned folder
    digest: str  # hash of the decoded samples, the same for all copies of a recording
    remark: str  # what is unusual about the file, or ""
    samples: int  # length at the model's sample rate
    read: Callable[[], np.ndarray] = field(repr=False, compare=False)  # returns the samples, from disk or memory

    @property
    def wave(self) -> np.ndarray:
        """Mono float32 samples at the model's sample rate  [S]"""
        return self.read()


@dataclass(frozen=True)
class Scan:
    """Sounds of a folder, and the reason for each file that was refused."""

    sounds: list[Sound]
    refused: dict[str, str]


def scan(root: Path, sample_rate: int, paths: list[Path] | None = None, cache: Path | None = None) -> Scan:
    """Decode all sound files below ``root``, or ``paths``, at a rate in Hz. Raises ``InputError`` if none is usable."""
    sounds, refused = [], {}
    paths = audio.list_files(root) if paths is None else paths
    with closing(SampleCache(cache, root, sample_rate)) as samples:
        progress = ProgressDisplay("reading", len(paths), "files")
        for number, path in enumerate(paths):
            progress.show(number)
            name = audio.printable(path.relative_to(root))
            try:
                sounds.append(read_sound(path, name, sample_rate, samples))
            except DecodingError as reason:
                refused[name] = str(reason)
        progress.close()
    if not sounds:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(refused.items())[:10])
        raise InputError(f"none of the {len(refused)} sound files in {root} can be used: {reasons}")
    return Scan(sounds, refused)


def read_sound(path: Path, name: str, sample_rate: int, cache: SampleCache) -> Sound:
    """One file, from the cache or decoded. Raises ``DecodingError`` if it has no usable sound."""
    entry = cache.lookup(name, path)
    if entry is None:
        return decode_sound(path, name, sample_rate, cache)
    if entry.refused:
        raise DecodingError(entry.refused)
    return Sound(name, entry.digest, entry.remark, entry.samples, cache.reader(entry))


def decode_sound(path: Path, name: str, sample_rate: int, cache: SampleCache) -> Sound:
    """One file, decoded; its samples are stored in the cache, or stay in memory. Raises ``DecodingError``."""
    before = fingerprint(path)  # taken first, so that a change during decoding is noticed by the next scan
    try:
        wave, digest, remark = decode(path, sample_rate)
    except DecodingError as reason:
        cache.store(name, Entry(before, refused=str(reason)))
        raise
    entry = cache.store(name, Entry(before, digest=digest, remark=remark), wave)
    reader = partial(np.asarray, wave) if entry is None else cache.reader(entry)
    return Sound(name, digest, remark, wave.size, reader)


def decode(path: Path, sample_rate: int) -> tuple[np.ndarray, str, str]:
    """Samples at ``sample_rate`` [S], digest and remark. Raises ``DecodingError`` if there is no usable sound."""
    wave, rate, remark = audio.decode(path)
    # before resampling, so that a recording has the same digest at every sample rate of the model
    digest = hashlib.sha256(wave.tobytes()).hexdigest()
    wave = audio.resample(wave, rate, sample_rate)
    if float(np.abs(wave).max()) < SILENCE_PEAK:
        raise DecodingError("silent when averaged to mono")
    return wave, digest, remark
