"""The built-in collection: synthesised instrument notes, written once as WAV files.

Eight instruments, twenty-four pitches each over three octaves, at three loudnesses. A note is named
``INSTRUMENT-MIDI-NAME-LOUDNESS.wav`` (``brass-060-C4-mf.wav``) and is read like a file of the user's own.
"""

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae2ch import audio
from vae2ch.errors import InputError
from vae2ch.files import UNFINISHED_SUFFIX

SAMPLE_RATE = 44100
SECONDS = 2.0
LOUDNESS = {"pp": 0.12, "mf": 0.35, "ff": 0.9}  # peak, relative to full scale
MIDI_RANGE = (45, 81)  # A2 (110 Hz) to A5 (880 Hz)
PITCHES = 24
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True)
class Tone:
    """Parameters of one note."""

    frequency: float  # Hz
    brightness: float  # 0 dark to 1 bright, follows the loudness
    random: np.random.Generator

    @property
    def time(self) -> np.ndarray:
        """Time of each sample in seconds  [S]"""
        return np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE


def additive(
    tone: Tone, ratios: np.ndarray, amplitudes: np.ndarray, decays: np.ndarray | None = None, vibrato: Any = 0.0
) -> np.ndarray:
    """Partials at ``frequency * ratios`` [P]; amplitudes [P] or [P, S], decays in s [P], relative vibrato [S]."""
    time = tone.time
    cycles = np.cumsum((1 + vibrato) * np.ones_like(time)) * tone.frequency / SAMPLE_RATE
    audible = tone.frequency * ratios < 0.45 * SAMPLE_RATE
    wave = np.zeros_like(time)
    for partial in np.flatnonzero(audible):
        phase = tone.random.uniform(0, 2 * np.pi)
        shape = 1.0 if decays is None else np.exp(-time / decays[partial])
        wave += amplitudes[partial] * shape * np.sin(2 * np.pi * cycles * ratios[partial] + phase)
    return wave


def envelope(time: np.ndarray, attack: float, end: float, release: float) -> np.ndarray:
    """Envelope that rises for ``attack`` s, holds until ``end`` s and fades for ``release`` s  [S]"""
    return np.clip(time / attack, 0, 1) * np.clip((end + release - time) / release, 0, 1)


def vibrato_curve(tone: Tone, depth: float, delay: float = 0.2) -> np.ndarray:
    """Relative frequency deviation of a vibrato of this depth that begins after ``delay`` s  [S]"""
    rate, phase = tone.random.uniform(4.5, 6.5), tone.random.uniform(0, 2 * np.pi)
    onset = np.clip((tone.time - delay) / 0.3, 0, 1)
    return depth * onset * np.sin(2 * np.pi * rate * tone.time + phase)


def plucked(tone: Tone) -> np.ndarray:
    """A stiff plucked string: partials at n sqrt(1 + B n^2) times the fundamental; high ones decay first."""
    n = np.arange(1, 41)
    stiffness = 10 ** tone.random.uniform(-4.5, -3.5)
    position = tone.random.uniform(0.12, 0.3)
    tilt = n ** -(1.6 - 0.7 * tone.brightness)
    decays = (1.6 * (220 / tone.frequency) ** 0.4) / (1 + 0.12 * n ** (1.5 - 0.5 * tone.brightness))
    ratios = n * np.sqrt((1 + stiffness * n**2) / (1 + stiffness))
    return additive(tone, ratios, np.abs(np.sin(np.pi * n * position)) * tilt, decays)


def bar(tone: Tone) -> np.ndarray:
    """A tuned wooden bar: partials near 4 and 10 times the fundamental, and a short burst of noise."""
    ratios = np.array([1, 3.98, 9.9]) * np.array([1, *(1 + tone.random.normal(0, 0.004, 2))])
    decays = np.array([0.75, 0.18, 0.06]) * (330 / tone.frequency) ** 0.5
    tuned = additive(tone, ratios, np.array([1, 0.5, 0.3]) * [1, tone.brightness, tone.brightness], decays)
    knock = tone.random.normal(0, 1, tuned.shape) * np.exp(-tone.time / 0.004)
    return tuned + 0.3 * tone.brightness * knock


def reed(tone: Tone) -> np.ndarray:
    """A cylindrical reed pipe: mainly odd harmonics, slow attack, vibrato."""
    n = np.arange(1, 26)
    amplitudes = np.where(n % 2 == 1, 1.0, 0.12) * n ** -(1.7 - 0.8 * tone.brightness)
    vibrato = vibrato_curve(tone, tone.random.uniform(0.001, 0.004))
    end = tone.random.uniform(1.2, 1.7)
    return additive(tone, n, amplitudes, vibrato=vibrato) * envelope(tone.time, 0.06, end, 0.15)


def bowed(tone: Tone) -> np.ndarray:
    """A bowed string: a sawtooth spectrum with body resonances, and vibrato."""
    n = np.arange(1, 61)
    body = sum(np.exp(-((np.log2(n * tone.frequency / f) / 0.5) ** 2)) for f in (280, 560, 1400, 2600))
    amplitudes = (0.3 + body) * n ** -(1.4 - 0.5 * tone.brightness)
    vibrato = vibrato_curve(tone, tone.random.uniform(0.002, 0.005))
    end = tone.random.uniform(1.3, 1.7)
    return additive(tone, n, amplitudes, vibrato=vibrato) * envelope(tone.time, 0.12, end, 0.2)


def brass(tone: Tone) -> np.ndarray:
    """Brass: upper harmonics begin later and end earlier than lower ones."""
    n = np.arange(1, 31)
    end = tone.random.uniform(1.1, 1.6)
    level = envelope(tone.time, tone.random.uniform(0.05, 0.1), end, 0.2)
    tilt = 2.6 - 1.6 * tone.brightness
    amplitudes = n[:, None] ** -(tilt + 1.5 * (1 - level)[None]) * level
    return additive(tone, n, amplitudes, vibrato=vibrato_curve(tone, 0.0015, delay=0.5))


def bell(tone: Tone) -> np.ndarray:
    """Frequency modulation with carrier and modulator at 1:2 and a decaying index (Chowning 1973)."""
    time = tone.time
    index = (0.6 + 1.6 * tone.brightness) * np.exp(-time / tone.random.uniform(0.3, 0.5))
    phase = 2 * np.pi * tone.frequency * time
    return np.exp(-time / tone.random.uniform(0.6, 1.0)) * np.sin(phase + index * np.sin(2 * phase))


def organ(tone: Tone) -> np.ndarray:
    """Drawbar organ: random drawbars, fast attack, no decay."""
    ratios = np.array([1, 2, 3, 4, 6, 8])
    drawbars = np.array([1, 0.7, 0.5, 0.4, 0.25, 0.2]) * tone.random.uniform(0.4, 1, 6)
    drawbars[1:] *= 0.4 + 0.6 * tone.brightness
    drawbars[0] = 1
    end = tone.random.uniform(1.3, 1.8)
    return additive(tone, ratios, drawbars) * envelope(tone.time, 0.008, end, 0.03)


def breath(tone: Tone) -> np.ndarray:
    """A flute: a few harmonics, and noise in bands around them."""
    n = np.arange(1, 8)
    pitched = additive(tone, n, n ** -(2.6 - tone.brightness), vibrato=vibrato_curve(tone, 0.003))
    hertz = np.fft.rfftfreq(pitched.size, 1 / SAMPLE_RATE)
    band = sum(np.exp(-((np.log2(np.maximum(hertz, 1) / (tone.frequency * k)) / 0.25) ** 2)) for k in (1, 2, 4))
    noise = np.fft.irfft(band * np.fft.rfft(tone.random.normal(0, 1, pitched.size)), pitched.size)
    noise *= 0.12 / noise.std()
    end = tone.random.uniform(1.2, 1.6)
    return (pitched + noise) * envelope(tone.time, 0.08, end, 0.2)


SYNTHESISERS = (plucked, bar, reed, bowed, brass, bell, organ, breath)
INSTRUMENTS: dict[str, Callable[[Tone], np.ndarray]] = {function.__name__: function for function in SYNTHESISERS}


def render(instrument: str, midi: int, loudness: str, seed: int) -> np.ndarray:
    """One note, determined by the arguments: float32 samples at 44.1 kHz, with the peak of its loudness  [S]"""
    # crc32, as Python's own hash of a string changes with every process
    random = np.random.default_rng([seed, zlib.crc32(f"{instrument}-{midi}-{loudness}".encode())])
    frequency = 440 * 2 ** ((midi - 69 + random.normal(0, 0.05)) / 12)
    brightness = {"pp": 0.15, "mf": 0.5, "ff": 0.9}[loudness] + random.uniform(-0.1, 0.1)
    wave = INSTRUMENTS[instrument](Tone(frequency, brightness, random))
    fade = int(0.01 * SAMPLE_RATE)
    wave[-fade:] *= np.linspace(1, 0, fade)
    return (LOUDNESS[loudness] * wave / np.abs(wave).max()).astype(np.float32)


def catalogue(seed: int) -> Iterator[tuple[str, int, str]]:
    """Instrument, MIDI pitch and loudness of all notes."""
    for number, instrument in enumerate(INSTRUMENTS):
        random = np.random.default_rng([seed, number])
        midis = random.choice(np.arange(MIDI_RANGE[0], MIDI_RANGE[1] + 1), PITCHES, replace=False)
        for midi in sorted(int(midi) for midi in midis):
            for loudness in LOUDNESS:
                yield instrument, midi, loudness


def file_name(instrument: str, midi: int, loudness: str) -> str:
    """File name of a note, with its scientific pitch name (60 is C4)."""
    return f"{instrument}-{midi:03d}-{NAMES[midi % 12]}{midi // 12 - 1}-{loudness}.wav"


def write(root: Path, seed: int = 0, threads: int = 1) -> None:
    """Write the notes that ``root`` lacks. Raises ``InputError`` if it holds anything else, or cannot be written."""
    names = {note: file_name(*note) for note in catalogue(seed)}
    found = {path.name.removesuffix(UNFINISHED_SUFFIX) for path in root.glob("*") if not path.name.startswith(".")}
    if others := found - set(names.values()):
        raise InputError(
            f"data.root: {audio.printable(root)} holds {audio.printable(Path(min(others)))}, which is none of the "
            "built-in notes; for sounds of your own add data=folder"
        )

    def write_one(note: tuple[str, int, str]) -> None:
        audio.write(root / names[note], render(*note, seed), SAMPLE_RATE, "PCM_16", result=True)

    with ThreadPoolExecutor(threads) as pool:  # numpy computes the partials without the interpreter's lock
        for _ in pool.map(write_one, [note for note, name in names.items() if not (root / name).exists()]):
            pass  # raises what went wrong
