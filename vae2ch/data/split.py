"""Split recordings into training, validation and test."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from vae2ch.data.scan import Sound
from vae2ch.errors import InputError

SPLITS = ("train", "validation", "test")


class SplitRow(NamedTuple):
    """What a run has noted of a file."""

    split: str
    digest: str  # of the decoded samples
    removed: bool = False  # from the collection, after the run had begun


def earlier_splits(sounds: list[Sound], rows: Mapping[str, SplitRow]) -> dict[str, str]:
    """Splits, by digest, of the sounds that a run has noted by name.

    A file of that name with other samples stays held out, as it may be the same recording, processed.
    """
    splits = {row.digest: row.split for row in rows.values()}
    for sound in sounds:
        row = rows.get(sound.name)
        if row and row.split != "train":
            splits.setdefault(sound.digest, row.split)
    return splits


def split_by_recording(
    sounds: list[Sound], *, validation: float, test: float, seed: int, earlier: Mapping[str, str] | None = None
) -> dict[str, list[Sound]]:
    """Split sounds by fractions of the recordings, at least one each; all copies of a recording are in one split.

    Recordings stay in the split that ``earlier`` has for their digest. Others are ordered by a hash of seed and data.
    A split depends on these and the fractions only, is the same on every machine, and changes little when files are
    added or removed. Raises ``InputError`` if there are fewer than three recordings, or none is left for a split.
    """
    digests = {sound.digest for sound in sounds}
    if len(digests) < 3:
        raise InputError(
            f"data.root: found {len(digests)} different recording(s); at least 3 are needed, one each for training, "
            "validation and test (cut a long recording into several files)"
        )
    ranked = sorted(digests, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
    test_count, validation_count = (max(1, round(fraction * len(ranked))) for fraction in (test, validation))
    if test_count + validation_count >= len(ranked):
        raise InputError(f"data.validation and data.test leave none of {len(ranked)} recordings for training")
    # from both ends, so that neither depends on the size of the other
    members = {
        "test": set(ranked[:test_count]),
        "train": set(ranked[test_count:-validation_count]),
        "validation": set(ranked[-validation_count:]),
    }
    split_of = {digest: name for name, chosen in members.items() for digest in chosen} | dict(earlier or {})
    splits = {name: [sound for sound in sounds if split_of[sound.digest] == name] for name in SPLITS}
    if empty := [name for name, chosen in splits.items() if not chosen]:
        raise InputError(f"no sound of the {empty[0]} split is left; begin a new run")
    return splits
