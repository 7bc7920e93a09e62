import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.helpers import RATE, data_config, noise, sound, write_noise
from vae2ch.data import notes, summary
from vae2ch.data.collection import NSYNTH_FOLDERS, Collection, read_collection
from vae2ch.data.dataset import SoundDataset
from vae2ch.data.split import SPLITS
from vae2ch.errors import InputError

SEGMENT = 4000


def write_nsynth(root, count=3):
    for number, folder in enumerate(NSYNTH_FOLDERS.values()):
        names = [f"guitar_{number}-{n}" for n in range(count)]
        write_noise(root / folder / "audio", *(f"{name}.wav" for name in names))
        (root / folder / "examples.json").write_text(json.dumps({name: {"pitch": 60} for name in names}))


def read(root, **changes):
    return read_collection(data_config(root, **changes), RATE, SEGMENT, seed=0)


def names(collection):
    return {split: [sound.name for sound in found] for split, found in collection.splits.items()}


def test_copies_in_a_folder_are_in_the_same_split(folder):
    collection = read(folder)
    copies = {"copy.wav", "sub folder/breath 074.wav"}
    assert [copies & set(found) for found in names(collection).values() if copies & set(found)] == [copies]
    assert set(collection.refused) == {"empty.wav", "text.flac", "silent.wav"}
    assert len(collection.sounds) == 9
    assert collection.root == folder


def test_the_split_depends_on_the_seed(folder):
    splits = [names(read_collection(data_config(folder), RATE, SEGMENT, seed)) for seed in (0, 0, 1, 2, 3)]
    assert splits[0] == splits[1]
    assert any(other != splits[0] for other in splits[2:])


def test_the_home_folder_is_expanded(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert len(read(f"~/{folder.name}", cache="~/cache of a test").sounds) == 9
    assert (folder.parent / "cache of a test").is_dir()
    with pytest.raises(InputError, match="there is no such user"):
        read("~nobody-has-this-name/sounds")


def test_nsynth_keeps_its_own_splits(tmp_path):
    write_nsynth(tmp_path)
    (tmp_path / "nsynth-train" / "audio" / "guitar_0-1.wav").unlink()
    collection = read(tmp_path, source="nsynth")
    assert names(collection) == {
        "train": [f"nsynth-train/audio/guitar_0-{n}.wav" for n in (0, 2)],
        "validation": [f"nsynth-valid/audio/guitar_1-{n}.wav" for n in range(3)],
        "test": [f"nsynth-test/audio/guitar_2-{n}.wav" for n in range(3)],
    }
    assert collection.refused == {"nsynth-train/audio/guitar_0-1.wav": "cannot be read: no such file or directory"}


def test_nsynth_reads_only_files_that_its_index_names(tmp_path):
    write_nsynth(tmp_path)
    write_noise(tmp_path / "nsynth-train" / "audio", "other.wav")
    assert len(read(tmp_path, source="nsynth").splits["train"]) == 3


def test_nsynth_can_be_limited(tmp_path):
    write_nsynth(tmp_path, count=5)
    limited = {limit: names(read(tmp_path, source="nsynth", limit=limit)) for limit in (1, 3, 9)}
    assert [len(found) for found in limited[1].values()] == [1, 1, 1]
    assert [len(found) for found in limited[9].values()] == [5, 5, 5]
    for split in SPLITS:  # a larger limit adds files
        assert set(limited[1][split]) < set(limited[3][split]) < set(limited[9][split])


def test_nsynth_is_cached_split_by_split(tmp_path):
    write_nsynth(tmp_path / "sounds")
    first, second, plain = (
        read(tmp_path / "sounds", source="nsynth", cache=cache) for cache in (*[str(tmp_path / "cache")] * 2, None)
    )
    assert first.splits == second.splits == plain.splits
    for folder in NSYNTH_FOLDERS.values():
        assert len(list((tmp_path / "cache" / folder).rglob("index.json"))) == 1
    for one, other in zip(second.sounds, plain.sounds, strict=True):
        assert np.array_equal(one.wave, other.wave)


@pytest.mark.parametrize("content", ["{", "[]", "{}", None])
def test_an_nsynth_folder_without_a_readable_index_is_refused(tmp_path, content):
    write_nsynth(tmp_path)
    index = tmp_path / "nsynth-valid" / "examples.json"
    if content is None:
        index.unlink()
    else:
        index.write_text(content)
    with pytest.raises(InputError, match=r"data\.root: cannot read .*nsynth-valid/examples\.json"):
        read(tmp_path, source="nsynth")


def test_the_notes_are_not_mixed_with_other_sounds(tmp_path):
    write_noise(tmp_path, "mine.wav")
    with pytest.raises(InputError, match=r"mine\.wav.*add data=folder"):
        read(tmp_path, source="notes")


def test_the_notes_are_completed_and_read(tmp_path):
    names = [notes.file_name(*note) for note in notes.catalogue(0)]
    write_noise(tmp_path, *names[2:], samples=300)
    collection = read(tmp_path, source="notes")
    found = {sound.name: sound for sound in collection.sounds}
    assert set(found) == set(names)
    assert collection.refused == {}
    assert [found[name].samples for name in names[:3]] == [2 * RATE, 2 * RATE, 300]


SIZES = [(3, 3, "heavy"), (59, 59, "heavy"), (60, 60, "medium"), (249, 249, "medium"), (250, 250, "light")]
LONG = [(1, 3000, "heavy"), (20, 900, "medium"), (100, 900, "light")]


@pytest.mark.parametrize(("recordings", "segments", "preset"), SIZES + LONG)
def test_small_collections_get_a_stronger_preset(recordings, segments, preset):
    assert summary.suitable_preset(recordings, segments) == preset


def table(collection, length):
    """The table of a collection with segments of a second."""
    return summary.table(
        collection, length, {name: SoundDataset(found, length) for name, found in collection.splits.items()}
    )


def test_the_table_counts_seconds_padded_files_pauses_copies_and_remarks(tmp_path):
    sounds = [sound(noise(n * 1000, seed=n), f"{n}.wav", str(n), "odd" if n == 2 else "") for n in (1, 2, 32)]
    sounds.append(sound(noise(64000, silent=[(20480, 64000)]), "paused.wav", "4"))
    recording_of = {"1": "1", "2": "1", "32": "32", "4": "4"}
    collection = Collection(tmp_path, {"train": sounds, "validation": [], "test": []}, {}, {}, recording_of)
    text = table(collection, 5000)
    assert "kept      4 files, 19.8 s: 3 different recordings, 1 of them copies or near copies" in text
    assert "2.wav: odd" in text
    assert "padded    2 of them, shorter than a segment (1.00 s)" in text
    assert "skipped   8.8 s in 1 of them: pauses" in text
    assert "train 13 (4 files) · validation 0 (0 files) · test 0 (0 files)" in text
    assert "heavy suits 3 recordings, 13 segments" in text


def test_long_lists_are_shortened_and_alike_files_are_one_line():
    refused = {f"{n}.wav": f"empty {n}" for n in range(100)}
    refused |= {f"memo {n}.m4a": "protected" for n in range(30)}
    left_out = {"hidden files": [".a", ".b", ".c", ".d"], "other files": ["x.txt", "y.txt", "z"]}
    collection = Collection(Path("x"), {name: [] for name in SPLITS}, refused, left_out)
    text = table(collection, 1000)
    assert "and 81 more" in text
    assert "19.wav: empty" in text
    assert "20.wav" not in text
    assert summary.listed(refused)[-1] == "    30 .m4a files, as memo 0.m4a: protected"
    assert "left out  hidden files (4): .a, .b, .c, ..." in text
    assert "left out  other files (3): .txt 2, no suffix 1" in text
