"""Long recordings cut into blocks, one for each split, where a collection has few recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from vae2ch.data.dataset import segment_starts
from vae2ch.data.prints import onset
from vae2ch.data.scan import Sound

MIN_SEGMENTS = 29  # in a recording that is cut
FEW_RECORDINGS = 10
MIN_RECORDINGS = 3  # one for each split
DOMINANT_SHARE = 0.5  # of the seconds, in one recording


def cut_long_recordings(
    sounds: Sequence[Sound],
    recording_of: Mapping[str, str],
    segment: int,
    sample_rate: int,
    *,
    validation: float,
    test: float,
) -> tuple[list[Sound], dict[str, str]]:
    """Sounds, with long ones cut into blocks, and the split of each block, by its digest.

    Long recordings are cut if there are fewer than one for each split, and one that outweighs a few others is: as a
    whole, it would leave training or the tests without most of the collection. Between blocks lies a gap of a segment.
    """
    longest = {recording_of[sound.digest]: sound for sound in sorted(sounds, key=lambda sound: sound.samples)}
    total = sum(sound.samples for sound in longest.values())
    limits: dict[str, dict[str, tuple[int, int]]] = {}
    for recording, sound in longest.items():
        dominant = len(longest) < FEW_RECORDINGS and sound.samples > DOMINANT_SHARE * total
        if len(longest) < MIN_RECORDINGS or dominant:
            limits[recording] = block_limits(sound, segment, validation=validation, test=test)
    kept: list[Sound] = []
    splits: dict[str, str] = {}
    for sound in sounds:
        recording = recording_of[sound.digest]
        found = limits.get(recording, {})
        later = time_after(longest[recording], sound, sample_rate) if found else 0
        cut = {split: part_of(sound, split, start + later, end + later) for split, (start, end) in found.items()}
        splits |= {part.digest: split for split, part in cut.items()}
        kept += cut.values() or [sound]
    return kept, splits


def time_after(original: Sound, copy: Sound, sample_rate: int) -> int:
    """Samples by which a near copy begins later than its original: both are cut at the same moments."""
    return 0 if copy is original else onset(copy.wave, sample_rate) - onset(original.wave, sample_rate)


def block_limits(sound: Sound, segment: int, *, validation: float, test: float) -> dict[str, tuple[int, int]]:
    """First sample and end of each split's block, which has its share of the segments; none if those are few."""
    if sound.samples < MIN_SEGMENTS * segment:
        return {}
    starts = segment_starts(sound.wave, segment, sound.step)  # not of the samples, which may be pauses
    if len(starts) < MIN_SEGMENTS:
        return {}
    test_count, validation_count = (max(1, int(fraction * len(starts))) for fraction in (test, validation))
    first_of_test = len(starts) - test_count
    first_of_validation = first_of_test - 1 - validation_count
    bounds = {
        "train": (0, first_of_validation - 1),
        "validation": (first_of_validation, first_of_test - 1),
        "test": (first_of_test, len(starts)),
    }
    if bounds["train"][1] < 1:
        return {}
    return {split: (starts[first], starts[end - 1] + segment) for split, (first, end) in bounds.items()}


def part_of(sound: Sound, split: str, start: int, stop: int) -> Sound:
    """Part of a sound, as a sound of its own; what lies outside of the sound is left away."""
    start, stop = max(0, start), min(sound.samples, stop)
    remark = "; ".join(filter(None, [sound.remark, "a block of a long recording"]))
    return replace(
        sound,
        name=block_name(sound.name, split),
        digest=block_digest(sound.digest, split),
        remark=remark,
        samples=stop - start,
        read=partial(samples_of, sound, start, stop),
    )


def block_name(file: str, split: str) -> str:
    """Name of a file's block."""
    return f"{file} ({split})"


def block_digest(digest: str, split: str) -> str:
    """Digest of a block, by that of the file."""
    return f"{digest}-{split}"


def samples_of(sound: Sound, start: int, stop: int) -> np.ndarray:
    """Samples of a sound from ``start`` to ``stop``."""
    return sound.wave[start:stop]
