"""Decode all sound files of a folder, through the cache: usable sounds, and refused files with reasons."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from vae2ch import audio
from vae2ch.audio import DecodingError, Recording, UnreadableError
from vae2ch.data.cache import Entry, SampleCache, fingerprint
from vae2ch.errors import InputError
from vae2ch.terminal import ProgressDisplay

SILENCE_PEAK = 1e-6  # -120 dB; a file with a lower peak is silent
RESULT = "written by vae2ch, which does not train on its own output"
MAX_REASONS = 10  # in an error message


@dataclass(frozen=True)
class Sound:
    """A decoded file; it can be pickled."""

    name: str  # path relative to the scanned folder
    digest: str  # hash of the decoded samples, the same for all copies of a recording
    remark: str  # what is unusual about the file, or ""
    samples: int  # length at the model's sample rate
    read: Callable[[], np.ndarray] = field(repr=False, compare=False)  # returns the samples, from disk or memory
    step: float = 0.0  # of the quantisation of the file's samples, 0 if not known

    @property
    def wave(self) -> np.ndarray:
        """Mono float32 samples at the model's sample rate  [S]"""
        return self.read()


@dataclass(frozen=True)
class Scan:
    """Sounds of a folder, the reason for each file that was refused, and names of what was left out, by reason."""

    sounds: list[Sound]
    refused: dict[str, str]
    left_out: dict[str, list[str]] = field(default_factory=dict)


def scan(
    root: Path, sample_rate: int, paths: list[Path] | None = None, cache: Path | None = None, *, results: bool = False
) -> Scan:
    """Decode all sound files below ``root``, or ``paths``, at a rate in Hz. Raises ``InputError`` if none is usable.

    Files that this program has written are refused, unless ``results`` are wanted.
    """
    sounds, refused = [], {}
    listing = audio.list_files(root) if paths is None else audio.Listing(root, paths)
    with closing(SampleCache(cache, root, sample_rate, "results" if results else "")) as samples:
        progress = ProgressDisplay("reading", len(listing.files), "files")
        for number, path in enumerate(listing.files):
            progress.show(number)
            name = audio.printable(path.relative_to(root))
            try:
                sounds.append(read_sound(path, name, sample_rate, samples, results))
            except DecodingError as reason:
                refused[name] = str(reason)
        progress.close()
    if not sounds:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(refused.items())[:MAX_REASONS])
        raise InputError(f"none of the {len(refused)} sound files in {root} can be used: {reasons}")
    return Scan(sounds, refused, listing.left_out)


def read_sound(path: Path, name: str, sample_rate: int, cache: SampleCache, results: bool = False) -> Sound:
    """One file, from the cache or decoded. Raises ``DecodingError`` if it has no usable sound."""
    entry = cache.lookup(name, path)
    if entry is None:
        return decode_sound(path, name, sample_rate, cache, results)
    if entry.refused:
        raise DecodingError(entry.refused)
    return Sound(name, entry.digest, entry.remark, entry.samples, cache.reader(entry), entry.step)


def decode_sound(path: Path, name: str, sample_rate: int, cache: SampleCache, results: bool) -> Sound:
    """One file, decoded; its samples are stored in the cache, or stay in memory. Raises ``DecodingError``."""
    before = fingerprint(path)  # taken first, so that a change during decoding is noticed by the next scan
    try:
        recording = audio.open_recording(path)
        if recording.silence or (recording.is_result and not results):
            raise DecodingError(recording.silence or RESULT)
        return store(name, before, Reading(recording, sample_rate), cache)
    except MemoryError as error:
        raise UnreadableError.of(error) from None
    except UnreadableError:  # may be readable the next time
        raise
    except DecodingError as reason:
        cache.store(name, Entry(before, refused=str(reason)))
        raise


class Reading:
    """One pass over a recording at the model's sample rate, with what is computed on the way."""

    def __init__(self, recording: Recording, sample_rate: int) -> None:
        self.recording, self.sample_rate = recording, sample_rate

    def blocks(self) -> Iterator[np.ndarray]:
        """Samples [S], in blocks. Raises ``DecodingError`` at the end if they are silent."""
        self.hash, peak = hashlib.sha256(), 0.0
        source = hashed(self.recording.blocks(), self.hash.update)
        for block in audio.resample_blocks(source, self.recording.rate, self.sample_rate):
            peak = max(peak, float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
            yield block
        if peak < SILENCE_PEAK:
            raise DecodingError(f"silent at {self.sample_rate} Hz")


def hashed(blocks: Iterable[np.ndarray], update: Callable[[bytes], None]) -> Iterator[np.ndarray]:
    """The blocks, each passed to a hash before resampling: a recording has the same digest at every sample rate."""
    for block in blocks:
        update(block.tobytes())
        yield block


def store(name: str, before: str, reading: Reading, cache: SampleCache) -> Sound:
    """The sound that a reading gives, its samples stored in the cache, or in memory where that fails."""
    place = cache.append(reading.blocks())
    wave = None if place else np.concatenate(list(reading.blocks()))
    digest, remark, step = reading.hash.hexdigest(), reading.recording.remark, reading.recording.step
    if wave is None:
        entry = cache.store(name, Entry(before, digest=digest, remark=remark, step=step), place)
        return Sound(name, digest, remark, entry.samples, cache.reader(entry), entry.step)
    return Sound(name, digest, remark, wave.size, partial(np.asarray, wave), step)
