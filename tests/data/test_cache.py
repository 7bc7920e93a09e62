import contextlib
import json
import os
import resource
import shutil
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.data.helpers import RATE, noise
from vae2ch import audio
from vae2ch.audio.libsndfile import BLOCK_SAMPLES
from vae2ch.data import cache as cache_module
from vae2ch.data.cache import ABANDONED_SECONDS, SampleCache
from vae2ch.data.scan import Scan, read_sound, scan
from vae2ch.errors import InputError

MARK = "from the index"


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "sounds"
    for number, name in enumerate(("a", "b", "sub/c")):
        audio.write(place / f"{name}.wav", noise(5000, seed=number), 22050)
    (place / "bad.flac").write_text("no sound")
    return place


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def index_of(cache):
    """The only index in a folder of caches."""
    (path,) = cache.rglob("index.json")
    return path


def mark(cache):
    """Mark all entries of the index, so that ``unchanged`` can tell them from files that were decoded again."""
    path = index_of(cache)
    entries = json.loads(path.read_text())
    for entry in entries.values():
        entry["refused" if entry["refused"] else "remark"] = MARK
    path.write_text(json.dumps(entries))


def unchanged(found):
    """Names of the files whose result came from a marked index, sorted."""
    marked = [sound.name for sound in found.sounds if sound.remark == MARK]
    return sorted(marked + [name for name, reason in found.refused.items() if reason == MARK])


def assert_same(first, second):
    assert first.refused == second.refused
    assert first.sounds == second.sounds  # name, digest, remark, number of samples
    for one, other in zip(first.sounds, second.sounds, strict=True):
        assert np.array_equal(one.wave, other.wave)


@contextlib.contextmanager
def disk_with(size):
    """Let no file become larger than ``size`` bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_second_scan_decodes_nothing_and_finds_the_same(root, cache):
    plain, first = scan(root, RATE), scan(root, RATE, cache=cache)
    assert_same(plain, first)
    assert_same(plain, scan(root, RATE, cache=cache))
    mark(cache)
    assert unchanged(scan(root, RATE, cache=cache)) == ["a.wav", "b.wav", "bad.flac", "sub/c.wav"]


def test_only_changed_files_are_decoded_again(root, cache):
    scan(root, RATE, cache=cache)
    wave = noise(5000, seed=9)
    before = os.stat(root / "b.wav")
    audio.write(root / "b.wav", wave, 22050)
    os.utime(root / "b.wav", ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time of modification
    audio.write(root / "d.wav", wave[:4000], 22050)
    (root / "a.wav").unlink()
    mark(cache)
    found = scan(root, RATE, cache=cache)
    assert [sound.name for sound in found.sounds] == ["b.wav", "d.wav", "sub/c.wav"]
    assert unchanged(found) == ["bad.flac", "sub/c.wav"]
    assert set(json.loads(index_of(cache).read_text())) == {"b.wav", "bad.flac", "d.wav", "sub/c.wav"}
    for new, expected in zip(found.sounds, scan(root, RATE).sounds, strict=True):
        assert np.array_equal(new.wave, expected.wave)


def test_a_refused_file_is_decoded_again_after_a_change(root, cache):
    scan(root, RATE, cache=cache)
    mark(cache)
    shutil.copy(root / "a.wav", root / "bad.flac")
    found = scan(root, RATE, cache=cache)
    assert found.refused == {}
    assert unchanged(found) == ["a.wav", "b.wav", "sub/c.wav"]


def test_refusals_are_cached(tmp_path, cache):
    (tmp_path / "bad.wav").write_text("no sound")
    with pytest.raises(InputError, match=r"none of the 1 .* bad.wav: does not decode"):
        scan(tmp_path, RATE, cache=cache)
    mark(cache)
    with pytest.raises(InputError, match=f"bad.wav: {MARK}"):
        scan(tmp_path, RATE, cache=cache)


def mapped_file(wave):
    """The mapped file that an array is a part of, or None."""
    while wave is not None and not isinstance(wave, np.memmap):
        wave = getattr(wave, "base", None)
    return wave


def test_samples_are_mapped_from_the_cache(root, cache):
    for _ in range(2):  # from the scan that stored them, and from the next
        for sound in scan(root, RATE, cache=cache).sounds:
            assert cache in Path(mapped_file(sound.wave).filename).parents
    assert not any(mapped_file(sound.wave) for sound in scan(root, RATE).sounds)


def test_a_scan_writes_one_file_of_samples(root, cache):
    found = scan(root, RATE, cache=cache)
    (path,) = cache.rglob("*.f32")
    assert path.stat().st_size == 4 * sum(sound.samples for sound in found.sounds)


def test_changed_samples_in_memory_leave_the_disk_unchanged(root, cache):
    found = scan(root, RATE, cache=cache)
    (path,) = cache.rglob("*.f32")
    before = path.read_bytes()
    for sound in found.sounds:
        sound.wave[:] = 0
    assert path.read_bytes() == before


def interrupted_scan(cache, root):
    """A scan that reads one file, and is then interrupted as by Ctrl-C."""
    with closing(SampleCache(cache, root, RATE)) as samples:
        read_sound(root / "a.wav", "a.wav", RATE, samples)
        raise KeyboardInterrupt


def test_an_interrupted_scan_keeps_the_entries_of_the_earlier_one(root, cache):
    scan(root, RATE, cache=cache)
    mark(cache)
    os.utime(root / "b.wav")
    with pytest.raises(KeyboardInterrupt):
        interrupted_scan(cache, root)
    assert unchanged(scan(root, RATE, cache=cache)) == ["a.wav", "bad.flac", "sub/c.wav"]


def test_an_interrupted_scan_keeps_what_it_decoded(root, cache):
    with pytest.raises(KeyboardInterrupt):
        interrupted_scan(cache, root)
    mark(cache)
    assert unchanged(scan(root, RATE, cache=cache)) == ["a.wav"]


def test_simultaneous_scans_keep_each_others_entries(root, cache):
    with closing(SampleCache(cache, root, RATE)) as samples:
        first = read_sound(root / "a.wav", "a.wav", RATE, samples)
        scan(root, RATE, cache=cache)  # another scan begins and ends meanwhile
        second = read_sound(root / "b.wav", "b.wav", RATE, samples)
    plain = scan(root, RATE)
    assert_same(Scan([first, second], {}), Scan(plain.sounds[:2], {}))
    assert_same(scan(root, RATE, cache=cache), plain)
    mark(cache)
    assert unchanged(scan(root, RATE, cache=cache)) == ["a.wav", "b.wav", "bad.flac", "sub/c.wav"]


def test_samples_that_fit_on_a_full_disk_are_kept_and_the_others_stay_in_memory(root, cache, capsys):
    plain = scan(root, RATE)
    size = 4 * plain.sounds[0].samples
    with disk_with(size + size // 2):  # the second sound is written in part
        found = scan(root, RATE, cache=cache)
    assert_same(found, plain)
    assert capsys.readouterr().err.count("decoded sounds are not cached") == 1
    (path,) = cache.rglob("*.f32")
    assert path.stat().st_size == size
    mark(cache)
    again = scan(root, RATE, cache=cache)
    assert "a.wav" in unchanged(again)
    assert not {"b.wav", "sub/c.wav"} & set(unchanged(again))
    for one, other in zip(again.sounds, plain.sounds, strict=True):
        assert np.array_equal(one.wave, other.wave)


def test_rates_and_folders_have_separate_caches(root, cache, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    audio.write(copy / "a.wav", np.ones(3000, np.float32), 22050)
    for _ in range(2):
        for folder, rate in ((root, RATE), (root, 22050), (copy, RATE)):
            assert_same(scan(folder, rate, cache=cache), scan(folder, rate))


@pytest.mark.parametrize(
    "damage",
    [
        lambda index, samples: index.write_text('{"a.wav": '),
        lambda index, samples: index.write_text('{"a.wav": {"colour": "red"}, "b.wav": 3}'),
        lambda index, samples: index.write_text("[1, 2]"),
        lambda index, samples: index.write_bytes(b"\xff\xfe"),
        lambda index, samples: index.write_text(index.read_text().replace('"start": 0', '"start": "x"')),
        lambda index, samples: samples.unlink(),
        # not cut in place, as the samples of the first scan are still mapped
        lambda index, samples: shutil.move(shutil.copyfile(index, f"{samples}.cut"), samples),
    ],
    ids=["cut index", "foreign entries", "a list", "no text", "wrong type", "no samples", "too few samples"],
)
def test_a_damaged_cache_is_written_anew(root, cache, damage):
    plain = scan(root, RATE)
    scan(root, RATE, cache=cache)
    damage(index_of(cache), next(cache.rglob("*.f32")))
    assert_same(plain, scan(root, RATE, cache=cache))
    assert_same(plain, scan(root, RATE, cache=cache))
    mark(cache)
    assert unchanged(scan(root, RATE, cache=cache)) == ["a.wav", "b.wav", "bad.flac", "sub/c.wav"]


def test_only_old_files_of_samples_without_entries_are_deleted(root, cache):
    scan(root, RATE, cache=cache)
    place = index_of(cache).parent
    (place / "old.f32").write_bytes(bytes(8))
    (place / "new.f32").write_bytes(bytes(8))
    past = time.time() - 2 * ABANDONED_SECONDS
    for path in place.glob("*.f32"):
        if path.name != "new.f32":
            os.utime(path, (past, past))
    os.utime(root / "b.wav")  # something to write
    scan(root, RATE, cache=cache)
    assert not (place / "old.f32").exists()
    assert (place / "new.f32").exists()
    assert_same(scan(root, RATE, cache=cache), scan(root, RATE))


def test_without_a_writable_cache_the_sounds_stay_in_memory(root, cache, capsys):
    cache.write_text("a file in its place")
    assert_same(scan(root, RATE, cache=cache), scan(root, RATE))
    assert capsys.readouterr().err.count("decoded sounds are not cached") == 1


def test_a_disabled_cache_writes_nothing(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    scan(root, RATE)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("library", range(3))
def test_another_version_of_a_library_decodes_again(root, cache, library, monkeypatch):
    scan(root, RATE, cache=cache)
    mark(cache)
    versions = list(cache_module.LIBRARIES)
    versions[library] += ".1"
    monkeypatch.setattr(cache_module, "LIBRARIES", tuple(versions))
    found = scan(root, RATE, cache=cache)
    assert unchanged(found) == []
    assert_same(found, scan(root, RATE))
    monkeypatch.undo()
    assert unchanged(scan(root, RATE, cache=cache)) == ["a.wav", "b.wav", "bad.flac", "sub/c.wav"]


def write_long(place, rate=22050):
    """A sound of several blocks; returns the bytes that its samples take."""
    audio.write(place / "long.wav", noise(3 * BLOCK_SAMPLES + 77), rate)
    return 4 * audio.load(place / "long.wav", RATE).size


@pytest.mark.parametrize("rate", [RATE, 22050, 8000])
def test_a_long_sound_is_stored_in_blocks(tmp_path, cache, rate, monkeypatch):
    size = write_long(tmp_path / "sounds", rate)
    writes, write = [], SampleCache.write
    monkeypatch.setattr(SampleCache, "write", lambda self, samples: (writes.append(len(samples)), write(self, samples)))
    (sound,) = scan(tmp_path / "sounds", RATE, cache=cache).sounds
    assert len(writes) > 2
    assert sum(writes) == size
    assert np.array_equal(sound.wave, audio.load(tmp_path / "sounds" / "long.wav", RATE))
    assert scan(tmp_path / "sounds", RATE).sounds[0].digest == sound.digest


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_a_long_sound_that_does_not_fit_on_the_disk_stays_in_memory(root, cache, share, capsys):
    size = write_long(root)
    plain = scan(root, RATE)
    before = 4 * sum(sound.samples for sound in plain.sounds if sound.name < "long.wav")
    with disk_with(before + int(share * size)):
        found = scan(root, RATE, cache=cache)
    assert_same(found, plain)
    assert capsys.readouterr().err.count("decoded sounds are not cached") == 1
    (path,) = cache.rglob("*.f32")
    assert path.stat().st_size == before
    assert_same(scan(root, RATE, cache=cache), plain)
