"""Detection rate of near copies by kind, and false alarms among the sounds of a folder.

python -m vae2ch.bench.near_copies DIR
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from vae2ch import audio
from vae2ch.bench.common import one_line_errors, plain_parser
from vae2ch.data.near_copies import recordings_of
from vae2ch.data.scan import Sound, scan

RATE = 44100  # of the originals that the copies are made of
SAMPLE_RATE = 16000  # of the model
SECONDS = 5  # of each original

Write = Callable[[Path, np.ndarray], None]


def as_file(
    suffix: str, subtype: str, rate: int = RATE, gain: float = 1.0, cut: float = 0.0, **options: float
) -> Write:
    """Function that writes a waveform [S] in a format, at a rate and level, without its first ``cut`` seconds."""

    def write(path: Path, wave: np.ndarray) -> None:
        changed = gain * audio.resample(wave[int(cut * RATE) :], RATE, rate)
        soundfile.write(path.with_suffix(suffix), changed, rate, subtype=subtype, **options)

    return write


KINDS: dict[str, Write] = {
    "24 bits": as_file(".wav", "PCM_24"),
    "8 bits": as_file(".wav", "PCM_U8"),
    "48 kHz": as_file(".wav", "PCM_16", rate=48000),
    "11 kHz": as_file(".wav", "PCM_16", rate=11025),
    "20 dB quieter": as_file(".wav", "PCM_16", gain=0.1),
    "MP3": as_file(".mp3", "MPEG_LAYER_III"),
    "MP3, low rate": as_file(".mp3", "MPEG_LAYER_III", compression_level=0.9),
    "Ogg Vorbis, low rate": as_file(".ogg", "VORBIS", compression_level=0.9),
    "5 ms cut": as_file(".wav", "PCM_16", cut=0.005),
    "20 ms cut": as_file(".wav", "PCM_16", cut=0.02),
}


def found_copies(originals: list[Path], write: Write, place: Path) -> tuple[int, int]:
    """Numbers of copies of one kind that are found and that were made."""
    for number, path in enumerate(originals):
        wave = audio.load(path, RATE)[: SECONDS * RATE]
        wave /= max(1.0, float(np.abs(wave).max()))
        soundfile.write(place / f"{number}-original.wav", wave, RATE, subtype="PCM_16")
        if wave.size > RATE // 20:
            write(place / f"{number}-copy", wave)
    sounds = scan(place, SAMPLE_RATE).sounds
    recording = recordings_of(sounds, SAMPLE_RATE)
    by_name = {sound.name.partition(".")[0]: recording[sound.digest] for sound in sounds}
    made = [name for name in by_name if name.endswith("-copy")]
    return sum(by_name[name] == by_name[name.replace("copy", "original")] for name in made), len(made)


def alike(sounds: list[Sound]) -> list[list[str]]:
    """Names of the sounds of a folder that are taken for one recording."""
    recording = recordings_of(sounds, SAMPLE_RATE)
    groups: dict[str, list[str]] = {}
    for sound in sounds:
        groups.setdefault(recording[sound.digest], []).append(sound.name)
    return [names for names in groups.values() if len(names) > 1]


def main() -> None:
    """Print both tables."""
    parser = plain_parser("near_copies", __doc__.partition("\n")[0], "sounds/")
    parser.add_argument("folder", metavar="DIR", type=Path, help="sounds that are no copies of each other")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as cache:
        begin = time.perf_counter()
        found = scan(folder, SAMPLE_RATE, cache=Path(cache))
        scanned = time.perf_counter()
        groups = alike(found.sounds)
        seconds, searched = scanned - begin, time.perf_counter() - scanned
    share = f"scanned in {seconds:.2f} s, searched in {searched:.2f} s ({100 * searched / seconds:.1f} %)"
    print(
        f"{len(found.sounds)} sounds, {share}, {sum(len(names) - 1 for names in groups)} taken for near copies:",
        flush=True,
    )
    for names in groups:
        print("   ", ", ".join(names))
    print("|near copies|found|made|\n|---|---|---|")
    for kind, write in KINDS.items():
        with tempfile.TemporaryDirectory() as place:
            counts = found_copies([folder / sound.name for sound in found.sounds], write, Path(place))
        print(f"|{kind}|{counts[0]}|{counts[1]}|", flush=True)


if __name__ == "__main__":
    with one_line_errors():
        main()
