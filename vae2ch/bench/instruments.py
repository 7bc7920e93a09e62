"""Render single notes of General MIDI instruments, to measure on.

Needs mido, FluidSynth and a soundfont: apt install fluidsynth timgm6mb-soundfont.
"""

import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile

from vae2ch.bench.common import add_numbers, plain_parser
from vae2ch.cli.messages import exit_on_error
from vae2ch.errors import InputError

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
PACKAGES = {
    "TimGM6mb": "timgm6mb-soundfont",
    "FluidR3_GM": "fluid-soundfont-gm",
    "MuseScore_General_Full": "musescore-general-soundfont",
}
MELODIC = [program for program in range(96) if program != 47]  # 47 are timpani; from 96 on there are effects
PITCHES, VELOCITIES = range(36, 85), (40, 80, 120)  # C2 to C6
RATE, TICKS = 44100, 1920  # samples and MIDI ticks per second, at MIDI's default tempo
HELD, KEPT, APART = 1.5, 2.0, 3.0  # seconds: of the key, of the file, from one note to the next
MIN_PEAK, FADE = 1e-4, 441  # peak below which a program has no such note; samples at the end of a file


def choose(first: int, programs: int, count: int, seed: int) -> list[tuple[int, int, int]]:
    """Program, pitch and velocity of random notes; ``first`` counts in a fixed random order of the programs."""
    chosen = np.random.default_rng(7).permutation(MELODIC)[first : first + programs].tolist()
    notes = list(itertools.product(chosen, PITCHES, VELOCITIES))
    if len(chosen) < programs or count > len(notes):
        raise InputError(f"there are {len(MELODIC)} programs; from --first {first} these have {len(notes)} notes")
    return [notes[index] for index in np.random.default_rng(seed).choice(len(notes), count, replace=False)]


def midi_file(notes: list[tuple[int, int, int]], channel: int = 0) -> mido.MidiFile:
    """MIDI file with a note every ``APART`` seconds; channel 9 has drums."""
    track = mido.MidiTrack()
    for program, pitch, velocity in notes:
        track.append(mido.Message("program_change", program=program, channel=channel))
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, channel=channel))
        track.append(mido.Message("note_off", note=pitch, time=int(HELD * TICKS), channel=channel))
        track.append(mido.MetaMessage("marker", time=int((APART - HELD) * TICKS)))
    return mido.MidiFile(ticks_per_beat=TICKS // 2, tracks=[track])


def render(notes: list[tuple[int, int, int]], soundfont: Path = SOUNDFONT, channel: int = 0) -> np.ndarray:
    """All notes in one waveform, without reverb and chorus  [S]"""
    if shutil.which("fluidsynth") is None or not soundfont.exists():
        raise InputError(f"fluidsynth and {soundfont} are needed: apt install fluidsynth {PACKAGES[soundfont.stem]}")
    with tempfile.TemporaryDirectory() as place:
        midi_file(notes, channel).save(f"{place}/notes.mid")
        options = f"-ni -q -R 0 -C 0 -g 0.6 -r {RATE} -F notes.wav {soundfont} notes.mid".split()
        subprocess.run(["fluidsynth", *options], check=True, stdout=subprocess.DEVNULL, cwd=place)
        return soundfile.read(f"{place}/notes.wav")[0].mean(axis=1)


def write_files(folder: Path, names: list[str], wave: np.ndarray) -> None:
    """Write a file for each note of a waveform [S] that is not silent."""
    fade = np.minimum(1, np.arange(KEPT * RATE, 0, -1) / FADE)
    for number, name in enumerate(names):
        one = wave[round(number * APART * RATE) :][: len(fade)]
        if np.abs(one).max() >= MIN_PEAK:
            soundfile.write(folder / f"{name}.wav", one * fade, RATE)


def main() -> None:
    """Choose notes, render and write them."""
    parser = plain_parser("instruments", "Render notes of General MIDI instruments.", "instruments/ --notes 450")
    parser.add_argument("folder", metavar="DIR", type=Path, help="for the WAV files")
    add_numbers(
        parser,
        ("first", 0, "number of the first instrument"),
        ("programs", 12, "instruments"),
        ("notes", 450, "of all instruments"),
        ("seed", 0, "of the choice of notes"),
    )
    with exit_on_error():
        options = parser.parse_args()
        notes = choose(options.first, options.programs, options.notes, options.seed)
        options.folder.mkdir(parents=True, exist_ok=True)
        names = [f"p{program:03d}_m{pitch:03d}_v{velocity:03d}" for program, pitch, velocity in notes]
        write_files(options.folder, names, render(notes))


if __name__ == "__main__":
    main()
