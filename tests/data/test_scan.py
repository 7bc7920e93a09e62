import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.data.helpers import RATE, noise, write_noise
from tests.helpers import python
from vae2ch import audio
from vae2ch.data.scan import scan
from vae2ch.errors import InputError


@pytest.fixture(params=["cached", "not cached"])
def cache(request, tmp_path):
    return tmp_path / "cache" if request.param == "cached" else None


def test_sounds_have_the_samples_of_their_files_at_the_requested_rate(folder, cache):
    found = scan(folder, RATE, cache=cache)
    assert len(found.sounds) == 9
    assert found.sounds == sorted(found.sounds, key=lambda sound: sound.name)
    for sound in found.sounds:
        expected = audio.load(folder / sound.name, RATE)
        assert np.array_equal(sound.wave, expected)
        assert sound.wave.dtype == np.float32
        assert sound.samples == sound.wave.size == expected.size
        assert sound.remark == ""


def test_copies_of_a_recording_have_the_same_digest_at_every_rate(folder):
    for rate in (RATE, 22050):
        digests = {sound.name: sound.digest for sound in scan(folder, rate).sounds}
        assert digests["copy.wav"] == digests["sub folder/breath 074.wav"]
        assert len(set(digests.values())) == 8
    assert digests == {sound.name: sound.digest for sound in scan(folder, RATE).sounds}


def test_unusable_files_are_refused_one_by_one(folder, cache):
    refused = scan(folder, RATE, cache=cache).refused
    assert set(refused) == {"empty.wav", "text.flac", "silent.wav"}
    for name, reason in (("empty.wav", "0 bytes"), ("text.flac", "does not decode"), ("silent.wav", "silent")):
        assert reason in refused[name]


def test_a_sound_can_be_pickled(folder, cache):
    for sound in scan(folder, RATE, cache=cache).sounds:
        copy = pickle.loads(pickle.dumps(sound))
        assert copy == sound
        assert np.array_equal(copy.wave, sound.wave)
        assert copy.samples == copy.wave.size


@pytest.mark.slow
def test_pickled_sounds_can_be_read_in_another_process(folder, tmp_path):
    sounds = [scan(folder, RATE, cache=cache).sounds[3] for cache in (None, tmp_path / "cache")]
    (tmp_path / "sounds.pickle").write_bytes(pickle.dumps(sounds))
    program = (
        "import hashlib, pickle, sys\n"
        "with open(sys.argv[1], 'rb') as file: sounds = pickle.load(file)\n"
        "print(*(hashlib.sha256(sound.wave.tobytes()).hexdigest() for sound in sounds))"
    )
    done = python("-c", program, tmp_path / "sounds.pickle")
    assert done.returncode == 0, done.stderr
    expected = audio.load(folder / sounds[0].name, RATE)
    assert done.stdout.split() == [hashlib.sha256(expected.tobytes()).hexdigest()] * 2


def test_only_the_given_paths_are_read(folder):
    paths = [folder / "copy.wav", folder / "missing.wav"]
    found = scan(folder, RATE, paths)
    assert [sound.name for sound in found.sounds] == ["copy.wav"]
    assert found.refused == {"missing.wav": "cannot be read: no such file or directory"}


def test_names_that_are_not_utf8_are_read_and_cached(tmp_path, cache):
    root = tmp_path / "sounds"
    write_noise(root, "good.wav")
    for name in (b"/caf\xe9.wav", b"/caf\xe8.wav"):
        Path(os.fsdecode(bytes(root) + name)).write_bytes((root / "good.wav").read_bytes())
    for _ in range(2):
        found = scan(root, RATE, cache=cache)
        assert [sound.name for sound in found.sounds] == ["caf\\xe8.wav", "caf\\xe9.wav", "good.wav"]
    for index in cache.glob("*/index.json") if cache else ():
        assert set(json.loads(index.read_text())) == {sound.name for sound in found.sounds}


def test_a_sound_that_is_silent_after_resampling_is_refused(tmp_path):
    write_noise(tmp_path, "good.wav")
    audio.write(tmp_path / "bat.wav", np.array([0, 0.5], np.float32), 96000)
    found = scan(tmp_path, RATE)
    assert [sound.name for sound in found.sounds] == ["good.wav"]
    assert "silent" in found.refused["bat.wav"]


def test_a_damaged_file_has_a_remark(tmp_path, cache):
    root = tmp_path / "sounds"
    write_noise(root, "good.wav")
    soundfile.write(root / "cut.flac", noise(200_000), RATE)
    data = (root / "cut.flac").read_bytes()
    (root / "cut.flac").write_bytes(data[: len(data) // 2])
    for _ in range(2):  # the second time from the cache
        remarks = {sound.name: sound.remark for sound in scan(root, RATE, cache=cache).sounds}
        assert remarks == {"good.wav": "", "cut.flac": "damaged or cut short: 6.1 of 12.5 s"}


def test_a_folder_without_usable_sounds_is_refused_with_the_reasons(tmp_path, cache):
    root = tmp_path / "sounds"
    root.mkdir()
    with pytest.raises(InputError, match="no sound file"):
        scan(root, RATE, cache=cache)
    (root / "bad.wav").write_bytes(b"")
    os.mkfifo(root / "pipe.wav")
    with pytest.raises(InputError, match=r"none of the 2 .* bad\.wav: empty.*; pipe\.wav: not a regular file"):
        scan(root, RATE, cache=cache)
