"""Split recordings into training, validation and test."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from vae2ch.data.scan import Sound
from vae2ch.errors import InputError

SPLITS = ("train", "validation", "test")
LARGE_SHARE = 0.4  # of all samples; the longest recording is not held out if it has more
MAX_EXCESS = 1.5  # of the length of what is held out, relative to its share of the recordings


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
    sounds: list[Sound],
    *,
    validation: float,
    test: float,
    seed: int,
    recording_of: Mapping[str, str] | None = None,
    fixed: Mapping[str, str] | None = None,
) -> dict[str, list[Sound]]:
    """Split sounds by fractions of the recordings, at least one each; all copies of a recording are in one split.

    ``recording_of`` names the recording of each digest, by default the digest itself. Recordings stay in the split that
    ``fixed`` has for one of their digests. Others are ordered by a hash of seed and data; one that would take far more
    than the split's fraction of the samples is passed over. A split depends on these and the fractions only, is the
    same on every machine, and changes little when files are added or removed. Raises ``InputError`` if there are fewer
    than three recordings, or none is left for a split.
    """
    recording_of = recording_of or {sound.digest: sound.digest for sound in sounds}
    lengths: dict[str, int] = {}
    for sound in sounds:
        name = recording_of[sound.digest]
        lengths[name] = lengths.get(name, 0) + sound.samples
    if len(lengths) < 3:
        raise InputError(too_few(len(lengths), len(recording_of)))
    ranked = sorted(lengths, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    test_count, validation_count = (max(1, round(fraction * len(ranked))) for fraction in (test, validation))
    if test_count + validation_count >= len(ranked):
        raise InputError(f"data.validation and data.test leave none of {len(ranked)} recordings for training")
    # from both ends, so that neither depends on the size of the other
    split_of = dict.fromkeys(held_out(ranked, lengths, test_count), "test")
    rest = [name for name in reversed(ranked) if name not in split_of]
    split_of |= dict.fromkeys(held_out(rest, lengths, validation_count), "validation")
    split_of |= fixed_recordings(recording_of, fixed or {})
    splits: dict[str, list[Sound]] = {name: [] for name in SPLITS}
    for sound in sounds:
        splits[split_of.get(recording_of[sound.digest], "train")].append(sound)
    if empty := [name for name, chosen in splits.items() if not chosen]:
        raise InputError(f"no sound of the {empty[0]} split is left; begin a new run")
    return splits


def held_out(ranked: list[str], lengths: Mapping[str, int], count: int) -> list[str]:
    """The first ``count`` recordings that together are not much longer than their share, or else the shortest."""
    total = sum(lengths.values())
    limit = MAX_EXCESS * count / len(lengths) * total
    longest = max(sorted(lengths), key=lengths.__getitem__)
    if lengths[longest] > LARGE_SHARE * total:  # training has it, whatever the limit is
        ranked = [name for name in ranked if name != longest]
    chosen: list[str] = []
    length = 0
    for name in ranked:
        if len(chosen) < count and length + lengths[name] <= limit:
            chosen.append(name)
            length += lengths[name]
    others = sorted(set(ranked) - set(chosen), key=lambda name: (lengths[name], name))
    return chosen + others[: count - len(chosen)]


def fixed_recordings(recording_of: Mapping[str, str], fixed: Mapping[str, str]) -> dict[str, str]:
    """Splits of recordings from those of digests; what was held out stays so, also if a copy was not."""
    known = [(recording_of[digest], split) for digest, split in fixed.items() if digest in recording_of]
    return dict(sorted(known, key=lambda item: item[1] != "train"))


def too_few(recordings: int, digests: int) -> str:
    """Message for a collection that cannot be split."""
    copies = f" ({digests - recordings} more are near copies)" if digests > recordings else ""
    return (
        f"data.root: found {recordings} different recording(s){copies}; at least 3 are needed, one each for training, "
        "validation and test, or one recording of a minute"
    )
