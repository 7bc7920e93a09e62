import json
import os
import shutil

import numpy as np
import pytest

from vae2ch import audio, cache
from vae2ch.refusal import Refusal

RATE = 16000


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "sounds"
    random = np.random.default_rng(0)
    for name in ("a", "b", "sub/c"):
        audio.write(place / f"{name}.wav", random.normal(0, 0.1, 5000).astype(np.float32), 22050)
    (place / "bad.flac").write_text("no sound")
    return place


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were decoded, in order."""
    names, decode = [], audio.decode
    monkeypatch.setattr(audio, "decode", lambda path: names.append(path.name) or decode(path))
    return names


def same(first, second):
    assert first.refused == second.refused
    assert [sound.name for sound in first.sounds] == [sound.name for sound in second.sounds]
    for one, other in zip(first.sounds, second.sounds, strict=True):
        assert np.array_equal(one.wave, other.wave)
        assert (one.digest, one.remark) == (other.digest, other.remark)


def test_a_second_scan_decodes_nothing_and_finds_the_same(root, tmp_path, decoded):
    plain = audio.scan(root, RATE)
    first = audio.scan(root, RATE, cache=tmp_path / "cache")
    decoded.clear()
    second = audio.scan(root, RATE, cache=tmp_path / "cache")
    assert decoded == []
    same(plain, first)
    same(plain, second)


def test_only_what_changed_is_decoded_again(root, tmp_path, decoded):
    audio.scan(root, RATE, cache=tmp_path / "cache")
    wave = np.random.default_rng(1).normal(0, 0.1, 5000).astype(np.float32)
    before = os.stat(root / "b.wav")
    audio.write(root / "b.wav", wave, 22050)
    os.utime(root / "b.wav", ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time of writing
    audio.write(root / "d.wav", wave[:4000], 22050)
    (root / "a.wav").unlink()
    decoded.clear()
    scan = audio.scan(root, RATE, cache=tmp_path / "cache")
    assert sorted(decoded) == ["b.wav", "d.wav"]
    assert [sound.name for sound in scan.sounds] == ["b.wav", "d.wav", "sub/c.wav"]
    same(scan, audio.scan(root, RATE))
    index = json.loads(next((tmp_path / "cache").rglob("index.json")).read_text())
    assert set(index) == {"b.wav", "bad.flac", "d.wav", "sub/c.wav"}


def test_an_interrupted_scan_forgets_nothing(root, tmp_path, decoded, monkeypatch):
    audio.scan(root, RATE, cache=tmp_path / "cache")
    os.utime(root / "b.wav")
    whole = audio.read

    def interrupted(path, *arguments):
        if path.name == "b.wav":
            raise KeyboardInterrupt
        return whole(path, *arguments)

    monkeypatch.setattr(audio, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        audio.scan(root, RATE, cache=tmp_path / "cache")
    monkeypatch.setattr(audio, "read", whole)
    decoded.clear()
    audio.scan(root, RATE, cache=tmp_path / "cache")
    assert decoded == ["b.wav"]


def test_two_scans_at_once_leave_each_others_samples(root, tmp_path, decoded, monkeypatch):
    whole = audio.read

    def meanwhile(path, *arguments):
        monkeypatch.setattr(audio, "read", whole)
        audio.scan(root, RATE, cache=tmp_path / "cache")  # another one begins and ends while this one reads
        return whole(path, *arguments)

    monkeypatch.setattr(audio, "read", meanwhile)
    same(audio.scan(root, RATE, cache=tmp_path / "cache"), audio.scan(root, RATE))
    decoded.clear()
    audio.scan(root, RATE, cache=tmp_path / "cache")
    assert decoded == []


def test_a_full_disk_keeps_what_it_took(root, tmp_path, decoded, monkeypatch, capsys):
    written = []

    def fails_on_the_second(self, samples):
        written.append(samples)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        append(self, samples)

    append = cache.Cache.append
    monkeypatch.setattr(cache.Cache, "append", fails_on_the_second)
    same(audio.scan(root, RATE, cache=tmp_path / "cache"), audio.scan(root, RATE))
    assert capsys.readouterr().err.count("No space left") == 1
    monkeypatch.setattr(cache.Cache, "append", append)
    decoded.clear()
    audio.scan(root, RATE, cache=tmp_path / "cache")
    assert "a.wav" not in decoded
    same(audio.scan(root, RATE, cache=tmp_path / "cache"), audio.scan(root, RATE))


def test_rates_and_folders_do_not_meet(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    audio.write(copy / "a.wav", np.ones(3000, np.float32), 22050)
    for folder, rate in ((root, RATE), (root, 22050), (copy, RATE)):
        same(audio.scan(folder, rate, cache=tmp_path / "cache"), audio.scan(folder, rate))
    for folder, rate in ((root, RATE), (root, 22050), (copy, RATE)):
        same(audio.scan(folder, rate, cache=tmp_path / "cache"), audio.scan(folder, rate))


@pytest.mark.parametrize("damage", ["index", "samples", "shorter", "entries", "types"])
def test_a_damaged_cache_is_made_anew(root, tmp_path, damage):
    plain = audio.scan(root, RATE, cache=tmp_path / "cache")
    index = next((tmp_path / "cache").rglob("index.json"))
    samples = next(index.parent.glob("*.f32"))
    if damage == "index":
        index.write_text('{"a.wav": ')
    elif damage == "entries":
        index.write_text('{"a.wav": {"colour": "red"}, "b.wav": 3}')
    elif damage == "types":
        index.write_text(index.read_text().replace('"start": 0', '"start": "x"'))
    elif damage == "samples":
        samples.unlink()
    else:
        start = samples.read_bytes()[:100]
        samples.unlink()  # not cut in place: what was found before is still mapped
        samples.write_bytes(start)
    same(plain, audio.scan(root, RATE, cache=tmp_path / "cache"))
    same(plain, audio.scan(root, RATE, cache=tmp_path / "cache"))


def test_where_nothing_can_be_kept_the_sounds_are_read_all_the_same(root, tmp_path, capsys):
    (tmp_path / "cache").write_text("a file in its place")
    same(audio.scan(root, RATE, cache=tmp_path / "cache"), audio.scan(root, RATE))
    assert capsys.readouterr().err.count("decoded sounds are not kept") == 1


def test_changing_a_sound_in_memory_changes_nothing_on_disk(root, tmp_path):
    for _ in range(2):
        sound = audio.scan(root, RATE, cache=tmp_path / "cache").sounds[0]
        assert np.array_equal(sound.wave, audio.load(root / "a.wav", RATE))
        sound.wave[:] = 0


def test_refusals_are_remembered_too(tmp_path, decoded):
    (tmp_path / "bad.wav").write_text("no sound")
    for _ in range(2):
        with pytest.raises(Refusal, match=r"none of the 1 .* bad.wav: does not decode"):
            audio.scan(tmp_path, RATE, cache=tmp_path / "cache")
    assert decoded == ["bad.wav"]
