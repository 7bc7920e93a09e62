"""Long recordings cut into blocks, where a collection has few recordings."""

import csv
import itertools

import numpy as np
import pytest

from tests.data.helpers import RATE, data_config, data_module, noise, write_noise
from vae2ch import audio
from vae2ch.data import summary
from vae2ch.data.collection import read_collection
from vae2ch.data.dataset import SoundDataset
from vae2ch.data.split import SPLITS
from vae2ch.errors import InputError

SEGMENT = 2000
LONG = 60 * SEGMENT


def ramp(samples, seed=0):
    """Noise with a slowly rising amplitude, so that every place of it is different  [samples]"""
    return noise(samples, seed=seed) * np.linspace(0.5, 1, samples, dtype=np.float32)


def write_long(root, *names, samples=LONG, first_seed=100):
    for number, name in enumerate(names):
        audio.write(root / name, ramp(samples, first_seed + number), RATE)


def read(root, seed=0, earlier=None, **changes):
    return read_collection(data_config(root, **changes), RATE, SEGMENT, seed, earlier)


def places(collection, root):
    """First sample and end of each block in its file: [(file, start, end, split)]"""
    found = []
    for split, sounds in collection.splits.items():
        for each in sounds:
            name = each.name.removesuffix(f" ({split})")
            whole = audio.load(root / name, RATE)
            (start,) = np.flatnonzero(whole == each.wave[0])[:1] if each.samples < whole.size else (0,)
            assert np.array_equal(whole[start : start + each.samples], each.wave)
            found.append((name, int(start), int(start) + each.samples, split))
    return sorted(found)


@pytest.mark.parametrize("names", [["a.wav"], ["a.wav", "b.wav"]])
@pytest.mark.parametrize("seed", range(3))
def test_recordings_that_are_too_few_are_cut_with_a_gap_between_the_splits(names, seed, tmp_path):
    write_long(tmp_path, *names)
    collection = read(tmp_path, seed)
    found = places(collection, tmp_path)
    assert [(name, split) for name, _, _, split in found] == [(n, s) for n in names for s in SPLITS]
    for (name, _, end, _), (other, start, _, _) in itertools.pairwise(found):
        assert name != other or start - end >= SEGMENT
    seconds = {split: sum(end - start for _, start, end, s in found if s == split) for split in SPLITS}
    assert seconds["train"] > 0.7 * len(names) * LONG
    for split in ("validation", "test"):
        assert seconds[split] == pytest.approx(0.1 * len(names) * LONG, rel=0.2)
    assert collection.files == collection.recordings == len(names)


def test_a_long_recording_beside_a_few_short_ones_is_cut(tmp_path):
    write_long(tmp_path, "rehearsal.wav")
    write_noise(tmp_path, *(f"{n}.wav" for n in range(4)), samples=SEGMENT)
    for seed in range(5):
        collection = read(tmp_path, seed)
        assert collection.files == collection.recordings == 5
        assert sum(each.samples for each in collection.splits["train"]) > 0.7 * LONG
        for split, sounds in collection.splits.items():
            assert f"rehearsal.wav ({split})" in [each.name for each in sounds]


@pytest.mark.parametrize(
    ("count", "samples"),
    [(3, LONG), (9, LONG // 2), (4, 29 * SEGMENT)],
    ids=["one for each split", "none outweighs the others", "too short to cut"],
)
def test_other_recordings_stay_whole(count, samples, tmp_path):
    write_long(tmp_path, *(f"{n}.wav" for n in range(count)), samples=samples)
    collection = read(tmp_path)
    assert sorted(each.name for each in collection.sounds) == [f"{n}.wav" for n in range(count)]


def test_a_large_collection_keeps_its_longest_recording_whole(tmp_path):
    write_long(tmp_path, "long.wav")
    write_noise(tmp_path, *(f"{n}.wav" for n in range(9)), samples=SEGMENT)
    collection = read(tmp_path)
    assert "long.wav" in [each.name for each in collection.splits["train"]]


@pytest.mark.parametrize("floor", [0.0, 1e-4])
def test_a_recording_that_is_mostly_a_pause_is_not_cut(floor, tmp_path):
    wave = floor * noise(LONG, seed=7) / 0.1
    wave[: 5 * SEGMENT] += ramp(5 * SEGMENT)
    audio.write(tmp_path / "pause.wav", wave, RATE)
    write_noise(tmp_path, *(f"{n}.wav" for n in range(3)), samples=SEGMENT)
    assert "pause.wav" in [each.name for each in read(tmp_path).sounds]
    for number in range(3):
        (tmp_path / f"{number}.wav").unlink()
    with pytest.raises(InputError, match=r"found 1 different .*or one recording of a minute"):
        read(tmp_path)


def test_copies_of_a_long_recording_are_cut_at_the_same_moments(tmp_path):
    wave = ramp(LONG)
    audio.write(tmp_path / "a.wav", wave, RATE)
    audio.write(tmp_path / "b.wav", np.concatenate([np.zeros(3 * SEGMENT, np.float32), 0.5 * wave]), RATE)
    audio.write(tmp_path / "c.wav", wave[: LONG - 2 * SEGMENT], RATE, "PCM_16")
    collection = read(tmp_path)
    assert collection.recordings == 1
    blocks = {each.name: each for each in collection.sounds}
    assert len(blocks) == 9
    for split in SPLITS:
        first = blocks[f"a.wav ({split})"].wave
        for name, level in (("b.wav", 0.5), ("c.wav", 1.0)):
            other = blocks[f"{name} ({split})"].wave
            common = slice(SEGMENT // 2, min(first.size, other.size) - SEGMENT // 2)
            lag = max(range(-200, 201), key=lambda lag: float(np.roll(other, lag)[common] @ first[common]))
            assert abs(lag) < SEGMENT // 2
            assert np.abs(np.roll(other, lag)[common] - level * first[common]).max() < 1e-3


def test_the_table_and_the_csv_file_name_the_blocks_and_count_the_file_once(tmp_path):
    write_long(tmp_path / "sounds", "long.wav", samples=60 * 4000)
    module = data_module(tmp_path / "sounds")
    text = module.table()
    assert "kept      1 files, " in text
    assert "1 different recordings\n" in text
    for split in SPLITS:
        assert f"{split} {len(module.datasets[split])} (1 files)" in text
        assert f"long.wav ({split}): a block of a long recording" in text
    module.write_csv(tmp_path / "sounds.csv")
    with (tmp_path / "sounds.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["split"]) for row in rows] == [(f"long.wav ({split})", split) for split in SPLITS]
    assert {row["recording"] for row in rows} == {row["digest"].rpartition("-")[0] for row in rows}
    assert {row["remark"] for row in rows} == {"a block of a long recording"}
    assert sum(float(row["seconds"]) for row in rows) == pytest.approx(15, rel=0.15)


def test_a_resumed_run_has_the_same_blocks_and_no_differences(tmp_path):
    root, table = tmp_path / "sounds", tmp_path / "sounds.csv"
    write_long(root, "long.wav")
    write_noise(root, "short.wav", "other.wav", "third.wav", samples=SEGMENT)
    first = read(root, seed=0)
    datasets = {split: SoundDataset(sounds, SEGMENT) for split, sounds in first.splits.items()}
    summary.write_csv(first, RATE, table, datasets)
    rows = summary.read_csv(table)
    for seed in range(3):
        again = read(root, seed, earlier=rows)
        assert again.splits == first.splits
        assert summary.differences(again, rows) == []
