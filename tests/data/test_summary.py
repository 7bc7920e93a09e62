"""Every oddity of a folder stands in the table and in ``sounds.csv``; nothing is left out without a word."""

import csv
import os
import re
import struct

import numpy as np
import pytest
import soundfile

from tests.data.helpers import RATE, data_module, noise, write_noise
from vae2ch import audio
from vae2ch.data import summary


def tone(seconds=1.0, hertz=330.0):
    time = np.arange(int(seconds * RATE)) / RATE
    return 0.5 * np.sin(2 * np.pi * hertz * time) * np.exp(-2 * time / seconds)


def unclosed(path):
    """A WAV file whose lengths were never filled in."""
    soundfile.write(path, tone(hertz=210), RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = bytes(4)
    path.write_bytes(data)


def cut(path):
    """The first half of a file."""
    soundfile.write(path, noise(2 * RATE, seed=50), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def low_bits(path):
    """24 bits in containers of 32."""
    samples = np.round(tone(hertz=260) * 2**23).astype("<i4") << 8
    form = struct.pack("<HHIIHH", 1, 1, RATE, 4 * RATE, 4, 24)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", samples.nbytes) + samples.tobytes()
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def with_hole(path):
    wave = noise(2 * RATE, seed=51)
    wave[RATE // 2 : RATE] = 0
    soundfile.write(path, wave, RATE)


REMARKS = {  # what makes the file, and a part of the remark
    "wide.wav": (lambda p: soundfile.write(p, np.stack([tone(), -tone()], 1), RATE), "channels cancel each other"),
    "side.flac": (lambda p: soundfile.write(p, np.stack([tone(), -0.9 * tone()], 1), RATE), "channels cancel"),
    "dc.wav": (lambda p: soundfile.write(p, tone(hertz=440) + 0.1, RATE), "a DC offset of 0.1 is removed"),
    "recorder.wav": (unclosed, "its recorder did not close it"),
    "half.flac": (cut, "damaged or cut short"),
    "half.wav": (cut, "damaged or cut short: 1.0 of 2.0 s"),
    "hole.wav": (with_hole, "holes, in which samples stay at one value: 0.50 s in all"),
    "low bits.wav": (low_bits, "24 bits in containers of 32"),
}
REFUSED = {
    "empty.wav": (lambda p: p.write_bytes(b""), "empty (0 bytes)"),
    "silent.wav": (lambda p: soundfile.write(p, np.zeros(RATE), RATE), "silent"),
    "constant.wav": (lambda p: soundfile.write(p, np.full(RATE, 0.1), RATE), "only a constant of 0.1"),
    "rounding.wav": (
        lambda p: soundfile.write(p, np.arange(RATE) % 3 / 2**15, RATE), "only quantisation noise of 16 bits"
    ),
    "infinite.wav": (lambda p: soundfile.write(p, tone() / np.zeros(1), RATE, subtype="FLOAT"), "NaN or infinite"),
    "page.mp3": (lambda p: p.write_text("<html>not found</html>"), "it is a web page"),
    "phone.m4a": (lambda p: p.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(500)), "MP4"),
    "my.wav": (lambda p: audio.write(p, tone().astype(np.float32), RATE, result=True), "written by vae2ch"),
    "pipe.wav": (os.mkfifo, "not a regular file"),
}  # fmt: skip
LEFT_OUT = {  # name, of a folder where nothing else is said
    "hidden folders": ".stversions",
    "trash and system folders": "$RECYCLE.BIN",
    "hidden files": "._wide.wav",
    "unfinished downloads": "song.wav.part",
    "links to folders that are listed already": "again",
    "links to files that are listed already": "link.wav",
    "links that lead nowhere": "nowhere.txt",
    "folders of runs": "a run",
    "other files": "cover.txt",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    place = tmp_path_factory.mktemp("sounds")
    write_noise(place, *(f"plain {n}.wav" for n in range(4)))
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, (make, _) in {**REMARKS, **REFUSED}.items():
            make(place / name)
    for name in (".stversions", "$RECYCLE.BIN", "a run/audio"):
        write_noise(place / name, "old.wav")
    (place / "a run" / ".hydra").mkdir()
    for name in ("._wide.wav", "song.wav.part", "cover.txt", "a run/run.json"):
        (place / name).write_bytes(b"\0\5\x16\7")
    write_noise(place / "pack", "in a pack.wav", samples=5000)
    (place / "again").symlink_to(place / "pack", target_is_directory=True)
    (place / "link.wav").symlink_to(place / "plain 0.wav")
    (place / "nowhere.txt").symlink_to(place / "gone")
    return place


@pytest.fixture(scope="module", params=["decoded", "from the cache"])
def module(request, root, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    found = data_module(root, cache=cache)
    return found if request.param == "decoded" else data_module(root, cache=cache)


def rows_of(module, path):
    module.write_csv(path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_remark_and_reason_is_in_the_table_and_in_the_csv_file(module, tmp_path):
    text = module.table()
    rows = {row["file"]: row for row in rows_of(module, tmp_path / "sounds.csv")}
    for name, (_, part) in {**REMARKS, **REFUSED}.items():
        (line,) = re.findall(rf"^    {re.escape(name)}: (.*)$", text, re.MULTILINE)
        assert part in line, name
        assert rows[name]["remark"] == line
        assert (rows[name]["split"] == "refused") == (name in REFUSED)
    assert f"refused   {len(REFUSED)} files" in text
    assert {row["remark"] for name, row in rows.items() if name.startswith("plain")} == {""}


def test_all_that_the_walk_leaves_out_is_counted_and_named(module, tmp_path):
    text = module.table()
    rows = {row["file"]: row for row in rows_of(module, tmp_path / "sounds.csv")}
    for reason, name in LEFT_OUT.items():
        shown = f"  left out  {reason} (1): {'.txt 1' if reason == 'other files' else name}"
        assert shown in text.splitlines()
        assert (rows[name]["split"], rows[name]["remark"]) == ("left out", reason)
    assert text.count("left out") == len(LEFT_OUT)


def test_the_csv_file_has_every_entry_of_the_folder_once(module, root, tmp_path):
    listed = [row["file"] for row in rows_of(module, tmp_path / "sounds.csv")]
    inside = ("$RECYCLE.BIN", ".stversions", "a run", "again")
    entries = {path.relative_to(root) for path in root.rglob("*")} - {(root / "pack").relative_to(root)}
    expected = {path.as_posix() for path in entries if path.parts[0] not in inside or len(path.parts) == 1}
    assert sorted(listed) == sorted(expected)


def test_skipped_seconds_are_counted_in_both(tmp_path):
    pause = np.concatenate([tone(), np.zeros(5 * RATE)])
    hiss = np.concatenate([tone(hertz=200), noise(5 * RATE) / 100])
    soundfile.write(tmp_path / "pause.wav", pause, RATE)
    soundfile.write(tmp_path / "hiss.wav", hiss, RATE)
    write_noise(tmp_path, *(f"{n}.wav" for n in range(3)))
    module = data_module(tmp_path)
    rows = {row["file"]: float(row["skipped"]) for row in rows_of(module, tmp_path / "sounds.csv")}
    (total, count) = re.search(r"skipped   ([\d.]+) s in (\d+) of them: pauses", module.table()).groups()
    assert rows["pause.wav"] == pytest.approx(5, abs=0.2)
    assert rows["hiss.wav"] == pytest.approx(5, abs=0.2)
    assert float(total) == pytest.approx(sum(rows.values()), abs=0.1)
    assert int(count) == sum(value > 0 for value in rows.values())


@pytest.mark.parametrize(("number", "lines"), [(3, 3), (4, 1), (40, 1)])
def test_refusals_of_one_kind_are_one_line_of_the_table_and_rows_of_the_csv_file(number, lines, tmp_path):
    write_noise(tmp_path, *(f"{n}.wav" for n in range(3)))
    for n in range(number):
        (tmp_path / f"memo {n}.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" + os.urandom(300))
    module = data_module(tmp_path)
    text = module.table()
    assert f"refused   {number} files" in text
    assert sum(".m4a" in line for line in text.splitlines()) == lines
    if lines == 1:
        assert re.search(rf"^    {number} \.m4a files, as memo 0\.m4a: .*export WAV", text, re.MULTILINE)
    rows = rows_of(module, tmp_path / "sounds.csv")
    assert sum(row["split"] == "refused" and "export WAV" in row["remark"] for row in rows) == number


@pytest.mark.parametrize("name", ['a, "b".wav', "太鼓.wav", "line\nbreak.wav", "=1+1.wav", "' ;.wav", "🥁.wav"])
def test_names_of_any_kind_are_read_back(name, tmp_path):
    write_noise(tmp_path / "sounds", name, "b.wav", "c.wav")
    (tmp_path / "sounds" / f"empty {name}").write_bytes(b"")
    module = data_module(tmp_path / "sounds")
    module.write_csv(tmp_path / "sounds.csv")
    rows = summary.read_csv(tmp_path / "sounds.csv")
    assert set(rows) == {sound.name for sound in module.collection.sounds}
    assert summary.differences(module.collection, rows) == []
    assert len(rows) == 3
    assert all(len(line.splitlines()) == 1 for line in module.collection.refused)


def test_near_copies_alone_are_split_and_the_table_says_so(tmp_path):
    wave = noise(RATE)
    for number in range(6):
        audio.write(tmp_path / f"{number}.wav", (1 - 0.1 * number) * wave, RATE)
    data = data_module(tmp_path)
    assert {name: len(sounds) for name, sounds in data.collection.splits.items()} == {
        "train": 4,
        "validation": 1,
        "test": 1,
    }
    assert summary.ALIKE in data.table().splitlines()


def test_a_table_of_different_sounds_does_not_say_that_they_are_alike(tmp_path):
    write_noise(tmp_path, "a.wav", "b.wav", "c.wav")
    assert "alike" not in data_module(tmp_path).table()
