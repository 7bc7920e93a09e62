import hashlib
from dataclasses import replace

import numpy as np
import pytest

from tests.data.helpers import sound
from vae2ch.data.split import SPLITS, SplitRow, earlier_splits, split_by_recording
from vae2ch.errors import InputError

TENTHS = {"validation": 0.1, "test": 0.1}


def sounds(count, copies=0):
    """Sounds of different recordings, some of them twice."""
    found = [sound(np.full(30, n + 1.0, np.float32), f"{n}.wav", f"digest {n}") for n in range(count)]
    return found + [sound(found[n].wave, f"copy {n}.wav", found[n].digest) for n in range(copies)]


def of_lengths(lengths):
    """Sounds of these numbers of samples, of different recordings."""
    empty = np.broadcast_to(np.float32(0), max(lengths))
    return [sound(empty[:length], f"{n}.wav", f"digest {n}") for n, length in enumerate(lengths)]


def digests(splits):
    return {name: {sound.digest for sound in found} for name, found in splits.items()}


@pytest.mark.parametrize("count", [3, 5, 20, 101])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_recording_is_in_two_splits(count, seed):
    splits = split_by_recording(sounds(count, copies=count), validation=0.1, test=0.1, seed=seed)
    recordings = digests(splits)
    assert tuple(splits) == SPLITS
    assert sum(map(len, recordings.values())) == len(set.union(*recordings.values())) == count
    assert sum(map(len, splits.values())) == 2 * count
    assert len(recordings["validation"]) == len(recordings["test"]) == max(1, round(0.1 * count))
    assert recordings["train"]


def test_a_split_keeps_the_order_of_the_sounds():
    found = sounds(20, copies=20)
    for split in split_by_recording(found, validation=0.2, test=0.2, seed=0).values():
        assert split == [sound for sound in found if sound in split]


def test_splits_depend_on_seed_and_content_alone():
    def split(found, seed):
        return digests(split_by_recording(found, validation=0.2, test=0.2, seed=seed))

    assert split(sounds(30), 0) == split(sounds(30)[::-1], 0) == split(sounds(30, copies=5), 0)
    assert split(sounds(30), 0) != split(sounds(30), 1)


def test_splits_change_little_when_a_file_is_removed():
    before, after = (digests(split_by_recording(sounds(n), validation=0.1, test=0.1, seed=0)) for n in (40, 39))
    for name in SPLITS:
        assert len(before[name] ^ after[name]) <= 3


def test_a_split_does_not_depend_on_the_size_of_another():
    def members(name, **fractions):
        return digests(split_by_recording(sounds(40), **{"validation": 0.1, "test": 0.1, **fractions}, seed=0))[name]

    assert members("test") == members("test", validation=0.4)
    assert members("validation") == members("validation", test=0.4)


def test_too_few_recordings_are_refused():
    with pytest.raises(InputError, match=r"found 2 different"):
        split_by_recording(sounds(2, copies=2), validation=0.1, test=0.1, seed=0)
    with pytest.raises(InputError, match=r"leave none of 5 recordings for training"):
        split_by_recording(sounds(5), validation=0.6, test=0.6, seed=0)


def test_recordings_stay_in_the_split_of_an_earlier_run():
    recordings = sounds(30)
    splits = split_by_recording(recordings, **TENTHS, seed=0)
    rows = {s.name: SplitRow(name, s.digest) for name, members in splits.items() for s in members}
    known = earlier_splits(recordings, rows)
    again = split_by_recording(recordings, **TENTHS, seed=1, fixed=known)
    assert again == splits
    assert split_by_recording(recordings, **TENTHS, seed=1) != splits


def test_a_held_out_file_stays_held_out_if_it_is_changed_or_returns():
    recordings = sounds(30)
    splits = split_by_recording(recordings, **TENTHS, seed=0)
    rows = {s.name: SplitRow(name, s.digest) for name, members in splits.items() for s in members}
    held_out, trained = splits["test"][0], splits["train"][0]
    changed = [replace(s, digest="other") if s == held_out else s for s in recordings]
    assert earlier_splits(changed, rows)["other"] == "test"
    changed = [replace(s, digest="other") if s == trained else s for s in recordings]
    assert "other" not in earlier_splits(changed, rows)
    removed = rows | {held_out.name: rows[held_out.name]._replace(removed=True)}
    assert earlier_splits(recordings, removed)[held_out.digest] == "test"


def test_a_split_without_sounds_is_refused():
    recordings = sounds(10)
    with pytest.raises(InputError, match="no sound of the validation split is left"):
        split_by_recording(recordings, **TENTHS, seed=0, fixed={s.digest: "train" for s in recordings})


LENGTHS = {
    "twenty minutes and four seconds": [12_000, *[10] * 4],
    "two long ones": [6000, 6500, *[10] * 4],
    "three decades": [int(10 ** (1 + n / 8)) for n in range(24)],
    "three decades in a large folder": [int(10 ** (1 + n % 30 / 10)) for n in range(120)],
    "one short one": [5, *[1000] * 6],
    "three": [1000, 10, 10],
}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("fractions", [TENTHS, {"validation": 0.2, "test": 0.1}])
def test_training_has_most_of_the_seconds_and_of_the_recordings(lengths, fractions):
    found = of_lengths(lengths)
    for seed in range(20):
        splits = split_by_recording(found, **fractions, seed=seed)
        seconds = {name: sum(each.samples for each in members) for name, members in splits.items()}
        assert seconds["train"] > 0.5 * sum(lengths)
        for name, fraction in fractions.items():
            assert len(splits[name]) == max(1, round(fraction * len(lengths)))


def test_the_copies_of_a_recording_count_for_its_length():
    """Six copies of a minute, of one recording, beside nine recordings of a minute."""
    found = of_lengths([60] * 15)
    recording_of = {each.digest: "digest 0" if n < 6 else each.digest for n, each in enumerate(found)}
    for seed in range(20):
        splits = split_by_recording(found, **TENTHS, seed=seed, recording_of=recording_of)
        assert {len(splits["validation"]), len(splits["test"])} == {1}
        assert set(found[:6]) <= set(splits["train"])


def test_with_equal_lengths_the_split_is_a_ranking():
    found = of_lengths([30] * 40)
    for seed in range(5):
        ranked = sorted(
            (each.digest for each in found), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()
        )
        splits = digests(split_by_recording(found, validation=0.2, test=0.1, seed=seed))
        assert splits == {"train": set(ranked[4:-8]), "validation": set(ranked[-8:]), "test": set(ranked[:4])}


def test_a_known_split_wins_over_lengths():
    found = of_lengths([12_000, *[10] * 5])
    fixed = {"digest 0": "test", "digest 1": "validation", "digest 2": "train"}
    for seed in range(5):
        splits = split_by_recording(found, **TENTHS, seed=seed, fixed=fixed)
        assert {each.digest: name for name, members in splits.items() for each in members}.items() >= fixed.items()


def test_a_recording_is_held_out_if_one_of_its_copies_was():
    found = of_lengths([10] * 8)
    recording_of = {each.digest: "digest 0" if n < 3 else each.digest for n, each in enumerate(found)}
    fixed = {"digest 1": "train", "digest 2": "test"}
    splits = split_by_recording(found, **TENTHS, seed=0, recording_of=recording_of, fixed=fixed)
    assert set(found[:3]) <= set(splits["test"])


@pytest.mark.parametrize("lengths", [(600, 600, 1), (600, 600, 20), (500, 490, 10)])
def test_one_of_two_long_recordings_is_always_trained_on(lengths):
    found = [sound(np.ones(count, np.float32), f"{n}.wav", f"{n}") for n, count in enumerate(lengths)]
    for seed in range(20):
        train = split_by_recording(found, **TENTHS, seed=seed)["train"]
        assert max(lengths) in [part.samples for part in train]
