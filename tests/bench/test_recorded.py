"""Sounds for a base model: files for what sounds, none for what does not, and only those that are missing."""

import subprocess

import numpy as np
import pytest
import soundfile

pytest.importorskip("mido")
from vae2ch.bench import recorded
from vae2ch.bench.instruments import APART, RATE
from vae2ch.errors import InputError


@pytest.fixture
def rendered(monkeypatch):
    """Calls of the renderer, which gives a tone for each note but those of pitch 30."""
    calls = []

    def render(notes, soundfont, channel):
        calls.append((notes, channel))
        wave = np.zeros(int((len(notes) + 1) * APART * RATE))
        for number, (_, pitch, velocity) in enumerate(notes):
            start = round(number * APART * RATE)
            tone = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * np.arange(RATE) / RATE)
            wave[start : start + RATE] = 0 if pitch == 30 else velocity / 127 * tone
        return wave

    monkeypatch.setattr(recorded, "render", render)
    return calls


def test_each_note_that_sounds_is_a_file(tmp_path, rendered):
    recorded.write_notes(tmp_path, "note", [(3, 69, 127), (3, 30, 127), (4, 57, 64)], "fluid", channel=0)
    names = sorted(path.name for path in tmp_path.glob("*.wav"))
    assert names == ["note-00000-p003-m069.wav", "note-00002-p004-m057.wav"]
    for name, hertz in zip(names, (440, 220), strict=True):
        wave, rate = soundfile.read(tmp_path / name)
        spectrum = np.abs(np.fft.rfft(wave[: rate // 2]))
        assert spectrum.argmax() * 2 == pytest.approx(hertz, abs=3)


def test_what_is_written_is_not_rendered_again(tmp_path, rendered):
    notes = [(number % 100, 60, 100) for number in range(recorded.AT_ONCE + 5)]
    recorded.write_notes(tmp_path, "note", notes, "fluid", channel=9)
    assert [len(part) for part, _ in rendered] == [recorded.AT_ONCE, 5]
    recorded.write_notes(tmp_path, "note", notes, "fluid", channel=9)
    assert len(rendered) == 2


def test_the_sounds_of_a_kit_are_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "HYDROGEN", tmp_path)
    kit = tmp_path / recorded.HYDROGEN_KITS["rumpf"]
    kit.mkdir()
    for name in ("b.flac", "a.wav", "drumkit.xml"):
        (kit / name).write_text(name)
    recorded.copy_kit(tmp_path, "rumpf")
    assert (tmp_path / "rumpf-00000.wav").read_text() == "a.wav"
    assert sorted(path.name for path in tmp_path.glob("rumpf-*")) == ["rumpf-00000.wav", "rumpf-00001.flac"]
    with pytest.raises(InputError, match="apt install hydrogen-drumkits"):
        recorded.copy_kit(tmp_path, "strums")


def test_speech_is_written_once_and_differs(tmp_path, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        soundfile.write(command[command.index("-w") + 1], np.ones(10), RATE)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(recorded.shutil, "which", str)
    for _ in range(2):
        recorded.write_speech(tmp_path, 4, np.random.default_rng(0))
    assert len(commands) == 4
    assert len({command[-1] for command in commands}) == 4
    assert all(word.isalpha() for command in commands for word in command[-1].split())


def test_a_missing_program_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="apt install espeak-ng"):
        recorded.write_speech(tmp_path, 1, np.random.default_rng(0))
