"""Long recordings cut into blocks, one for each split, where a collection has few recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

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
        alone = len(longest) < MIN_RECORDINGS
        dominant = len(longest) < FEW_RECORDINGS and sound.samples > DOMINANT_SHARE * total
        if not (alone or dominant) or sound.samples < MIN_SEGMENTS * segment:
            kept.append(sound)
            continue
        for split, start, stop in block_limits(sound.samples, segment, validation=validation, test=test):
            block = cut(sound, split, start, stop)
            kept.append(block)
            splits[block.digest] = split
    return kept, splits


def block_limits(samples: int, gap: int, *, validation: float, test: float) -> list[tuple[str, int, int]]:
    """Split, first sample and end of each block of a recording: training, then validation, then test."""
    held_out = [max(gap, int(fraction * samples)) for fraction in (validation, test)]
    test_start = samples - held_out[1]
    validation_start = test_start - gap - held_out[0]
    return [
        ("train", 0, validation_start - gap),
        ("validation", validation_start, test_start - gap),
        ("test", test_start, samples),
    ]


def cut(sound: Sound, split: str, start: int, stop: int) -> Sound:
    """Part of a sound, as a sound of its own."""
    remark = "; ".join(filter(None, [sound.remark, "a block of a long recording"]))
    return replace(
        sound,
        name=f"{sound.name} ({split})",
        digest=f"{sound.digest}-{split}",
        remark=remark,
        samples=stop - start,
        read=partial(part_of, sound, start, stop),
        spectrum="",
    )


def part_of(sound: Sound, start: int, stop: int) -> np.ndarray:
    """Samples of a sound from ``start`` to ``stop``."""
    return sound.wave[start:stop]
