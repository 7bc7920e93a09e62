"""What the program writes is never its input, wherever it lies."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.data.helpers import RATE, data_config, noise, write_noise
from vae2ch import audio
from vae2ch.data import notes, summary
from vae2ch.data.collection import read_collection
from vae2ch.data.scan import RESULT, scan
from vae2ch.errors import InputError

MINE = ["a.wav", "b.wav", "sub/c.wav"]


def write_result(path, subtype="FLOAT"):
    audio.write(path, noise(3000, seed=9), RATE, subtype, result=True)


def write_run(folder):
    """What a run leaves in its folder, as far as it matters here."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    for name in ("01-a-original.wav", "01-a-reconstruction.wav", "sample-01.wav"):
        write_result(folder / "audio" / name)
    write_noise(folder / "audio", "unmarked.wav")


@pytest.fixture(params=[True, False], ids=["cached in the folder", "not cached"])
def read(request, tmp_path, monkeypatch):
    """Function that reads the folder of sounds, which is the working directory too."""
    write_noise(tmp_path, *MINE)
    monkeypatch.chdir(tmp_path)
    return lambda: scan(Path(), RATE, cache=Path("outputs", ".cache") if request.param else None)


def names(found):
    return [sound.name for sound in found.sounds]


def test_runs_in_the_folder_of_sounds_are_left_out(read):
    first = read()
    for place in ("outputs/first", "outputs/multirun/mine/latent_dim=8", "sub/an old run", "renamed"):
        write_run(Path(place))
    for _ in range(2):
        found = read()
        assert found.sounds == first.sounds
        assert names(found) == MINE
        assert sorted(found.left_out["folders of runs"]) == [
            "outputs/first", "outputs/multirun/mine/latent_dim=8", "renamed", "sub/an old run",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["made/a.wav", "a (copy).wav", "made.WAV", "made.flac", "made.mp3", "made", "made.txt", "deep/er/x.aiff"]
)
@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
def test_a_result_is_recognised_wherever_it_was_moved(read, name, subtype):
    write_result(Path("made.wav.part"), subtype)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path("made.wav.part").rename(name)
    for _ in range(2):
        found = read()
        assert names(found) == MINE
        assert found.refused == {name: RESULT}


def test_an_audio_folder_that_was_taken_out_of_its_run_is_refused_in_one_line(read):
    write_run(Path("run"))
    Path("run/audio/unmarked.wav").unlink()
    shutil.copytree("run/audio", "listen")
    write_result(Path("listen/more.wav"))
    shutil.rmtree("run")
    found = read()
    assert names(found) == MINE
    assert set(found.refused.values()) == {RESULT}
    assert summary.listed(found.refused) == [f"    4 .wav files, as listen/01-a-original.wav: {RESULT}"]


def test_recordings_that_other_programs_have_marked_are_kept(read):
    for number, software in enumerate(("Lavf60.16.100", "a vae2ch of mine", "REAPER")):
        with soundfile.SoundFile(f"other {number}.wav", "w", RATE, 1) as file:
            file.software = software
            file.comment = file.title = "vae2ch"
            file.write(noise(3000, seed=number + 20))
    assert names(read()) == ["a.wav", "b.wav", *(f"other {n}.wav" for n in range(3)), "sub/c.wav"]


def test_a_folder_of_results_alone_is_refused_with_the_reason(tmp_path):
    write_result(tmp_path / "a.wav")
    with pytest.raises(InputError, match=rf"none of the 1 sound files .*a\.wav: {RESULT}"):
        scan(tmp_path, RATE)


def test_only_notes_are_read_although_they_are_marked(tmp_path, monkeypatch):
    """The first of the notes, as all of them would take long."""
    few = list(notes.catalogue(0))[::72]
    monkeypatch.setattr(notes, "catalogue", lambda seed: iter(few))
    written = sorted(notes.file_name(*note) for note in few)
    cache = str(tmp_path / "cache")
    for _ in range(2):
        found = read_collection(data_config(tmp_path / "notes", source="notes", cache=cache), RATE, RATE, 0)
        assert sorted(sound.name for sound in found.sounds) == written
        assert found.refused == {}
        with pytest.raises(InputError, match=RESULT):  # the same folder, read as one of the user's
            read_collection(data_config(tmp_path / "notes", cache=cache), RATE, RATE, 0)
    write_noise(tmp_path, *MINE)
    found = scan(tmp_path, RATE)
    assert names(found) == MINE
    assert sorted(found.refused) == [f"notes/{name}" for name in written]


def test_a_result_is_decoded_like_any_sound_where_it_is_asked_for(tmp_path):
    write_result(tmp_path / "a.wav")
    assert audio.is_result(tmp_path / "a.wav")
    assert np.array_equal(audio.load(tmp_path / "a.wav", RATE), noise(3000, seed=9))
    assert names(scan(tmp_path, RATE, results=True)) == ["a.wav"]
