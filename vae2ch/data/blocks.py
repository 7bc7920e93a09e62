"""Long recordings cut into blocks, one for each split, where a collection has few recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from vae2ch.data.dataset import segment_starts
from vae2ch.data.scan import Sound

MIN_SEGMENTS = 30  # in a recording that is cut
FEW_RECORDINGS = 10
MIN_RECORDINGS = 3  # one for each split
DOMINANT_SHARE = 0.5  # of the seconds, in one recording


def cut_long_recordings(
    sounds: Sequence[Sound], recording_of: Mapping[str, str], segment: int, *, validation: float, test: float
) -> tuple[list[Sound], dict[str, str]]:
    """Sounds, with long ones cut into blocks, and the split of each block, by its digest.

    Long recordings are cut if there are fewer than one for each split, and one that outweighs a few others is: as a
    whole, it would leave training or the tests without most of the collection. Between blocks lies a gap of a segment.
    """
    longest = {recording_of[sound.digest]: sound for sound in sorted(sounds, key=lambda sound: sound.samples)}
    total = sum(sound.samples for sound in longest.values())
    kept: list[Sound] = []
    splits: dict[str, str] = {}
    for sound in sounds:
        dominant = len(longest) < FEW_RECORDINGS and sound.samples > DOMINANT_SHARE * total
        blocks = {}
        if len(longest) < MIN_RECORDINGS or dominant:
            blocks = block_limits(sound, segment, validation=validation, test=test)
        cut = [part_of(sound, split, *limits) for split, limits in blocks.items()]
        splits |= {part.digest: split for part, split in zip(cut, blocks, strict=True)}
        kept += cut or [sound]
    return kept, splits


def block_limits(sound: Sound, segment: int, *, validation: float, test: float) -> dict[str, tuple[int, int]]:
    """First sample and end of each split's block, which has its share of the segments; none if those are few."""
    if sound.samples < MIN_SEGMENTS * segment:
        return {}
    starts = segment_starts(sound.wave, segment)  # not of the samples, which may be pauses
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
    """Part of a sound, as a sound of its own."""
    remark = "; ".join(filter(None, [sound.remark, "a block of a long recording"]))
    return replace(
        sound,
        name=block_name(sound.name, split),
        digest=f"{sound.digest}-{split}",
        remark=remark,
        samples=stop - start,
        read=partial(samples_of, sound, start, stop),
    )


def block_name(file: str, split: str) -> str:
    """Name of a file's block."""
    return f"{file} ({split})"


def samples_of(sound: Sound, start: int, stop: int) -> np.ndarray:
    """Samples of a sound from ``start`` to ``stop``."""
    return sound.wave[start:stop]
