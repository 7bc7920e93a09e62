"""Instrument notes to measure on: General MIDI programs, rendered by FluidSynth.

    apt install fluidsynth timgm6mb-soundfont
    python -m vae2ch.bench.instruments DIR --first 44 --programs 12 --notes 450 --seed 4

Programs come in one fixed, shuffled order, so that sets with another ``--first`` have other instruments.
"""

import argparse
import itertools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile

from vae2ch import commandline
from vae2ch.refusal import Refusal

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
MELODIC = [program for program in range(96) if program != 47]  # 47 are timpani; from 96 on there are effects
PITCHES = range(36, 85)  # C2 to C6
VELOCITIES = (40, 80, 120)
RATE = 44100
HELD, KEPT, APART = 1.5, 2.0, 3.0  # seconds: the key is down; the file is long; from one note to the next
TICKS = 1920  # of MIDI a second, at its usual tempo of 120
SILENT = 1e-4  # the peak below which a program has no such note
FADE = 441  # samples at a file's end

Note = tuple[int, int, int]  # program, pitch, velocity


def chosen(first: int, programs: int, notes: int, seed: int) -> list[Note]:
    """So many notes, at random, of some programs."""
    order = np.random.default_rng(7).permutation(MELODIC)[first : first + programs].tolist()
    if len(order) < programs:
        raise Refusal(f"--first {first} --programs {programs}: there are {len(MELODIC)} programs in all")
    every = list(itertools.product(order, PITCHES, VELOCITIES))
    if notes > len(every):
        raise Refusal(f"--notes {notes}: {len(order)} programs have {len(every)}")
    return [every[index] for index in np.random.default_rng(seed).choice(len(every), notes, replace=False)]


def name(note: Note) -> str:
    """Of a note's file."""
    program, pitch, velocity = note
    return f"p{program:03d}_m{pitch:03d}_v{velocity:03d}.wav"


def pitch_of(file: str) -> int | None:
    """The pitch that a file's name tells, None where it is not one of these."""
    found = re.search(r"p\d{3}_m(\d{3})_v\d{3}", file)
    return int(found[1]) if found else None


def score(notes: list[Note]) -> mido.MidiFile:
    """One note after the other, ``APART`` seconds from each to the next."""
    track = mido.MidiTrack()
    for program, pitch, velocity in notes:
        track.append(mido.Message("program_change", program=program, time=0))
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=0))
        track.append(mido.Message("note_off", note=pitch, time=int(HELD * TICKS)))
        track.append(mido.MetaMessage("marker", text="rest", time=int((APART - HELD) * TICKS)))
    return mido.MidiFile(ticks_per_beat=TICKS // 2, tracks=[track])


def render(notes: list[Note]) -> np.ndarray:
    """Their sound, without reverb and chorus  [S]"""
    if shutil.which("fluidsynth") is None or not SOUNDFONT.exists():
        raise Refusal(f"fluidsynth and {SOUNDFONT} are needed: apt install fluidsynth timgm6mb-soundfont")
    with tempfile.TemporaryDirectory() as folder:
        midi, wave = Path(folder, "notes.mid"), Path(folder, "notes.wav")
        score(notes).save(midi)
        options = ["-ni", "-q", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(RATE), "-F", wave, SOUNDFONT, midi]
        subprocess.run(["fluidsynth", *options], check=True, stdout=subprocess.DEVNULL)
        return soundfile.read(wave)[0].mean(axis=1)


def write(notes: list[Note], folder: Path) -> int:
    """A file for each that sounds; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    sound, written = render(notes), 0
    for number, note in enumerate(notes):
        begin = round(number * APART * RATE)
        wave = sound[begin : begin + round(KEPT * RATE)]
        if np.abs(wave).max() < SILENT:
            continue
        wave = wave * np.minimum(1, np.arange(len(wave), 0, -1) / FADE)
        soundfile.write(folder / name(note), wave, RATE)
        written += 1
    return written


def main() -> None:
    """Render a set into a folder."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--first", type=int, default=0, help="of the shuffled programs")
    arguments.add_argument("--programs", type=int, default=12)
    arguments.add_argument("--notes", type=int, default=450)
    arguments.add_argument("--seed", type=int, default=0)
    with commandline.refusals():
        options = arguments.parse_args()
        notes = chosen(options.first, options.programs, options.notes, options.seed)
        print(f"{write(notes, options.folder)} notes in {options.folder}")


if __name__ == "__main__":
    main()
