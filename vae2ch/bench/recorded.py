"""Write sounds that a base model learns from beside the procedural ones: notes, drums, strums and speech.

Needs mido, FluidSynth with two soundfonts (MIT licence, with parts that are CC0 or public domain), two kits of Hydrogen
(CC-BY 3.0), and eSpeak NG, whose output is free: apt install fluidsynth fluid-soundfont-gm
musescore-general-soundfont hydrogen-drumkits hydrogen-drumkits-effects espeak-ng.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vae2ch.bench.common import add_numbers, plain_parser
from vae2ch.bench.instruments import render, write_files
from vae2ch.cli.messages import exit_on_error
from vae2ch.errors import InputError
from vae2ch.terminal import ProgressDisplay

SOUNDFONTS = {
    "fluid": Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    "musescore": Path("/usr/share/sounds/sf3/MuseScore_General_Full.sf3"),
}
PROGRAMS, PITCHES = range(128), range(28, 97)  # E1 to C7; from 112 on there are effects
SOUNDFONT_KITS, KEYS = (0, 8, 16, 24, 25, 32, 40, 48), range(27, 88)  # drums of the soundfonts
HYDROGEN = Path("/usr/share/hydrogen/data/drumkits")
HYDROGEN_KITS = {
    "rumpf": "rumpf_kit_z01_h2",  # CC-BY 3.0, Emanuel Rumpf
    "strums": "belofilms_GuitarStrums",  # CC-BY 3.0, Gabriel Verdugo Soto
}
DRUM_CHANNEL = 9
VELOCITIES = (30, 127)  # from the first to below the second
SOUND_SUFFIXES = (".flac", ".wav")
AT_ONCE = 200  # notes, in a file that FluidSynth writes
LANGUAGES = (
    "en", "de", "fr", "es", "it", "nl", "pl", "ru", "sv", "tr", "hu", "fi", "pt-br", "cs", "el", "ro", "id", "sw",
    "vi", "cmn", "ja", "ko", "hi", "ar",
)  # fmt: skip
VOICES = ("", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+croak", "+whisper")
CONSONANTS, VOWELS = tuple("bdfghklmnprstvwz"), tuple("aeiou")


def main() -> None:
    """Write the files that the folder lacks."""
    parser = plain_parser("recorded", "Render notes, drums and speech for a base model.", "outputs/world/recorded")
    parser.add_argument("folder", metavar="DIR", type=Path, help="for the WAV files")
    add_numbers(
        parser,
        ("notes", 40, "notes of each program"),
        ("hits", 2, "hits of each drum"),
        ("words", 600, "spoken texts"),
        ("seed", 0, "of what is drawn"),
    )
    with exit_on_error():
        options = parser.parse_args()
        random = np.random.default_rng(options.seed)
        options.folder.mkdir(parents=True, exist_ok=True)
        notes = [draw(random, program, PITCHES) for program in PROGRAMS for _ in range(options.notes)]
        hits = [draw(random, kit, [key]) for kit in SOUNDFONT_KITS for key in KEYS for _ in range(options.hits)]
        for font in SOUNDFONTS:
            write_notes(options.folder, f"{font}-note", notes, font, channel=0)
            write_notes(options.folder, f"{font}-drum", hits, font, channel=DRUM_CHANNEL)
        for kit in HYDROGEN_KITS:
            copy_kit(options.folder, kit)
        write_speech(options.folder, options.words, random)


def draw(random: np.random.Generator, program: int, pitches: range | list[int]) -> tuple[int, int, int]:
    """A note of a program: with its pitch and velocity, as MIDI numbers."""
    return program, int(random.choice(pitches)), int(random.integers(*VELOCITIES))


def write_notes(folder: Path, kind: str, notes: list[tuple[int, int, int]], font: str, channel: int) -> None:
    """Write a file for each note that is not silent and not there yet."""
    names = [f"{kind}-{number:05d}-p{program:03d}-m{pitch:03d}" for number, (program, pitch, _) in enumerate(notes)]
    progress = ProgressDisplay(f"{kind}s", len(notes), "sounds")
    for start in range(0, len(notes), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        progress.show(start)
        done = folder / f"{names[part][-1]}.done"
        if not done.exists():
            write_files(folder, names[part], render(notes[part], SOUNDFONTS[font], channel))
            done.touch()
    progress.close()


def copy_kit(folder: Path, kit: str) -> None:
    """Copy the sounds of a drum kit."""
    source = HYDROGEN / HYDROGEN_KITS[kit]
    if not source.is_dir():
        raise InputError(f"{source} is needed: apt install hydrogen-drumkits hydrogen-drumkits-effects")
    for number, path in enumerate(sorted(source.glob("*.*"))):
        if path.suffix in SOUND_SUFFIXES:
            shutil.copyfile(path, folder / f"{kit}-{number:05d}{path.suffix}")


def write_speech(folder: Path, count: int, random: np.random.Generator) -> None:
    """Write words without meaning, in voices of many languages."""
    if shutil.which("espeak-ng") is None:
        raise InputError("espeak-ng is needed: apt install espeak-ng")
    progress = ProgressDisplay("speech", count, "sounds")
    for number in range(count):
        progress.show(number)
        voice = str(random.choice(LANGUAGES)) + str(random.choice(VOICES))
        settings = ["-p", str(random.integers(10, 95)), "-s", str(random.integers(90, 260))]
        path = folder / f"speech-{number:05d}.wav"
        text = " ".join(words(random))
        if not path.exists():
            speak(path, text, ["-v", voice, *settings])
    progress.close()


def speak(path: Path, text: str, settings: list[str]) -> None:
    """Write a spoken text. Raises ``InputError`` if eSpeak cannot."""
    unfinished = path.with_name(f".{path.name}")  # hidden files are no sounds
    done = subprocess.run(["espeak-ng", *settings, "-w", unfinished, text], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"espeak-ng {' '.join(settings)}: {done.stderr.strip()}")
    unfinished.rename(path)


def words(random: np.random.Generator) -> Iterator[str]:
    """A few words of random syllables."""
    for _ in range(random.integers(1, 5)):
        yield "".join(random.choice(CONSONANTS) + random.choice(VOWELS) for _ in range(random.integers(1, 4)))


if __name__ == "__main__":
    main()
