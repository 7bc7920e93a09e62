"""Errors of the system: named in its own words, for files and folders, and not remembered."""

import errno
import os
import pathlib

import numpy as np
import pytest
import soundfile

from tests.data.helpers import RATE, noise
from vae2ch import audio
from vae2ch.audio.libsndfile import LibsndfileDecoder
from vae2ch.data.scan import scan
from vae2ch.errors import InputError

ERRORS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files in system",
    errno.EIO: "input/output error",
    errno.ESTALE: "stale file handle",
    errno.ENOMEM: "cannot allocate memory",
    errno.ETIMEDOUT: "connection timed out",
}


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "sounds"
    for number, name in enumerate(("a", "bad", "c")):
        audio.write(place / f"{name}.wav", noise(5000, seed=number), RATE)
    return place


def failing(error, method, only="bad.wav"):
    """A method of paths that fails for one file."""

    def fail(self, *arguments, **options):
        if self.name == only:
            raise error
        return method(self, *arguments, **options)

    return fail


def assert_refused_once(root, cache, text, monkeypatch):
    """Assert that the file is refused with this text, and read as soon as it can be."""
    for _ in range(2):
        found = scan(root, RATE, cache=cache)
        assert [sound.name for sound in found.sounds] == ["a.wav", "c.wav"]
        assert found.refused == {"bad.wav": f"cannot be read: {text}"}
    monkeypatch.undo()
    again = scan(root, RATE, cache=cache)
    assert again.refused == {}
    assert np.array_equal(again.sounds[1].wave, audio.load(root / "bad.wav", RATE))


@pytest.mark.parametrize("number", ERRORS)
def test_a_file_that_cannot_be_opened(number, root, tmp_path, monkeypatch):
    error = OSError(number, os.strerror(number))
    monkeypatch.setattr(pathlib.Path, "open", failing(error, pathlib.Path.open))
    assert_refused_once(root, tmp_path / "cache", ERRORS[number], monkeypatch)


def test_libsndfile_finds_no_descriptor_left(root, tmp_path, monkeypatch):
    """Then the other reader opens the file, or has the system's error."""

    def fail(file, *arguments, **options):
        raise soundfile.LibsndfileError(2, prefix=f"Error opening {file!r}: ")  # "System error."

    plain = scan(root, RATE)
    monkeypatch.setattr(soundfile, "SoundFile", fail)
    found = scan(root, RATE, cache=tmp_path / "cache")
    assert found.refused == {}
    for one, other in zip(found.sounds, plain.sounds, strict=True):
        assert np.allclose(one.wave, other.wave, atol=1e-4)


def test_out_of_memory_while_a_file_is_decoded(root, tmp_path, monkeypatch):
    def fail(self):
        if pathlib.Path(self.source).name == "bad.wav":
            raise MemoryError
        yield from blocks(self)

    blocks = LibsndfileDecoder.blocks
    monkeypatch.setattr(LibsndfileDecoder, "blocks", fail)
    assert_refused_once(root, tmp_path / "cache", "out of memory", monkeypatch)


@pytest.mark.parametrize("cached", [True, False])
def test_out_of_memory_while_samples_are_resampled(cached, root, tmp_path, monkeypatch):
    def fail(blocks, *rates):
        for block in resample_blocks(blocks, *rates):
            if block[0] == first:
                raise MemoryError
            yield block

    first, resample_blocks = noise(1, seed=1)[0], audio.resample_blocks
    monkeypatch.setattr(audio, "resample_blocks", fail)
    assert_refused_once(root, tmp_path / "cache" if cached else None, "out of memory", monkeypatch)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_folder_that_cannot_be_listed(number, root, monkeypatch):
    def fail(path):
        if pathlib.Path(path).name == "closed":
            raise OSError(number, os.strerror(number))
        return scandir(path)

    (root / "closed").mkdir()
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", fail)
    assert scan(root, RATE).left_out == {f"folders that cannot be read ({ERRORS[number]})": ["closed"]}


def test_a_collection_of_unreadable_files_is_refused_with_the_systems_words(root, tmp_path, monkeypatch):
    def fail(path, *arguments, **options):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "open", fail)
        with pytest.raises(InputError, match=r"none of the 3 .* a\.wav: cannot be read: input/output error"):
            scan(root, RATE, cache=tmp_path / "cache")
    assert len(scan(root, RATE, cache=tmp_path / "cache").sounds) == 3
