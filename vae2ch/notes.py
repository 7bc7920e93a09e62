"""The embedded data set: seeded synthesis of instrument notes, written once as WAV files.

Eight instrument models, twenty-four pitches each over three octaves, each at
three loudnesses. A note is named ``INSTRUMENT-MIDI-NAME-LOUDNESS.wav`` (``brass-060-C4-mf.wav``)
and is read back through the same path as a user's own folder.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae2ch import audio
from vae2ch.refusal import Refusal

SAMPLE_RATE = 44100
SECONDS = 2.0
LOUDNESS = {"pp": 0.12, "mf": 0.35, "ff": 0.9}  # peak, relative to full scale
MIDI_RANGE = (45, 81)  # A2 (110 Hz) to A5 (880 Hz)
PITCHES = 24
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True)
class Tone:
    """What an instrument needs to play one note."""

    frequency: float  # Hz
    brightness: float  # 0 dark to 1 bright, follows the loudness
    random: np.random.Generator

    @property
    def time(self) -> np.ndarray:
        """Seconds of every sample  [S]"""
        return np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE


def additive(
    tone: Tone,
    ratios: np.ndarray,
    amplitudes: np.ndarray,
    decays: np.ndarray | None = None,
    vibrato: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Sum of partials at ``frequency * ratios``, each with its own decay.

    Args:
        ratios: partial frequencies over the fundamental  [P]
        amplitudes: linear, constant or per sample  [P] or [P, S]
        decays: time constants in seconds  [P]
        vibrato: relative frequency deviation per sample  [S]
    """
    time = tone.time
    cycles = np.cumsum((1 + vibrato) * np.ones_like(time)) * tone.frequency / SAMPLE_RATE
    audible = tone.frequency * ratios < 0.45 * SAMPLE_RATE
    wave = np.zeros_like(time)
    for partial in np.flatnonzero(audible):
        phase = tone.random.uniform(0, 2 * np.pi)
        shape = 1.0 if decays is None else np.exp(-time / decays[partial])
        wave += amplitudes[partial] * shape * np.sin(2 * np.pi * cycles * ratios[partial] + phase)
    return wave


def swell(time: np.ndarray, attack: float, end: float, release: float) -> np.ndarray:
    """Envelope that rises over ``attack`` s, holds until ``end`` s and fades over ``release`` s."""
    return np.clip(time / attack, 0, 1) * np.clip((end + release - time) / release, 0, 1)


def wobble(tone: Tone, depth: float, delay: float = 0.2) -> np.ndarray:
    """Vibrato that sets in after ``delay`` s; ``depth`` is the relative frequency deviation."""
    rate, phase = tone.random.uniform(4.5, 6.5), tone.random.uniform(0, 2 * np.pi)
    onset = np.clip((tone.time - delay) / 0.3, 0, 1)
    return depth * onset * np.sin(2 * np.pi * rate * tone.time + phase)


def plucked(tone: Tone) -> np.ndarray:
    """A string with stiffness: partials stretch as sqrt(1 + B n^2), high ones die first."""
    n = np.arange(1, 41)
    stiffness = 10 ** tone.random.uniform(-4.5, -3.5)
    position = tone.random.uniform(0.12, 0.3)
    tilt = n ** -(1.6 - 0.7 * tone.brightness)
    decays = (1.6 * (220 / tone.frequency) ** 0.4) / (1 + 0.12 * n ** (1.5 - 0.5 * tone.brightness))
    ratios = n * np.sqrt((1 + stiffness * n**2) / (1 + stiffness))
    return additive(tone, ratios, np.abs(np.sin(np.pi * n * position)) * tilt, decays)


def struck_bar(tone: Tone) -> np.ndarray:
    """A tuned wooden bar: the 4th and 10th harmonics over the fundamental, and a dull knock."""
    ratios = np.array([1, 3.98, 9.9]) * np.array([1, *(1 + tone.random.normal(0, 0.004, 2))])
    decays = np.array([0.75, 0.18, 0.06]) * (330 / tone.frequency) ** 0.5
    bar = additive(tone, ratios, np.array([1, 0.5, 0.3]) * [1, tone.brightness, tone.brightness], decays)
    knock = tone.random.normal(0, 1, bar.shape) * np.exp(-tone.time / 0.004)
    return bar + 0.3 * tone.brightness * knock


def reed(tone: Tone) -> np.ndarray:
    """A cylindrical pipe with a reed: odd harmonics, slow attack, late vibrato."""
    n = np.arange(1, 26)
    amplitudes = np.where(n % 2 == 1, 1.0, 0.12) * n ** -(1.7 - 0.8 * tone.brightness)
    vibrato = wobble(tone, tone.random.uniform(0.001, 0.004))
    end = tone.random.uniform(1.2, 1.7)
    return additive(tone, n, amplitudes, vibrato=vibrato) * swell(tone.time, 0.06, end, 0.15)


def bowed(tone: Tone) -> np.ndarray:
    """A bowed string: a sawtooth through body resonances, with vibrato."""
    n = np.arange(1, 61)
    body = sum(np.exp(-((np.log2(n * tone.frequency / f) / 0.5) ** 2)) for f in (280, 560, 1400, 2600))
    amplitudes = (0.3 + body) * n ** -(1.4 - 0.5 * tone.brightness)
    vibrato = wobble(tone, tone.random.uniform(0.002, 0.005))
    end = tone.random.uniform(1.3, 1.7)
    return additive(tone, n, amplitudes, vibrato=vibrato) * swell(tone.time, 0.12, end, 0.2)


def brass(tone: Tone) -> np.ndarray:
    """Brass: the upper harmonics come in after the lower ones and leave before them."""
    n = np.arange(1, 31)
    end = tone.random.uniform(1.1, 1.6)
    level = swell(tone.time, tone.random.uniform(0.05, 0.1), end, 0.2)
    tilt = 2.6 - 1.6 * tone.brightness
    amplitudes = n[:, None] ** -(tilt + 1.5 * (1 - level)[None]) * level
    return additive(tone, n, amplitudes, vibrato=wobble(tone, 0.0015, delay=0.5))


def fm_bell(tone: Tone) -> np.ndarray:
    """Frequency modulation, carrier and modulator at 1:2, the index falling with the level.

    Chowning (1973), "The synthesis of complex audio spectra by means of frequency modulation".
    """
    time = tone.time
    index = (0.6 + 1.6 * tone.brightness) * np.exp(-time / tone.random.uniform(0.3, 0.5))
    phase = 2 * np.pi * tone.frequency * time
    return np.exp(-time / tone.random.uniform(0.6, 1.0)) * np.sin(phase + index * np.sin(2 * phase))


def organ(tone: Tone) -> np.ndarray:
    """Drawbars: a fixed registration a take, key click, no decay."""
    ratios = np.array([1, 2, 3, 4, 6, 8])
    drawbars = np.array([1, 0.7, 0.5, 0.4, 0.25, 0.2]) * tone.random.uniform(0.4, 1, 6)
    drawbars[1:] *= 0.4 + 0.6 * tone.brightness
    drawbars[0] = 1
    end = tone.random.uniform(1.3, 1.8)
    return additive(tone, ratios, drawbars) * swell(tone.time, 0.008, end, 0.03)


def breath(tone: Tone) -> np.ndarray:
    """A flute: a few harmonics inside noise that is filtered around the note."""
    n = np.arange(1, 8)
    pitched = additive(tone, n, n ** -(2.6 - tone.brightness), vibrato=wobble(tone, 0.003))
    hertz = np.fft.rfftfreq(pitched.size, 1 / SAMPLE_RATE)
    band = sum(np.exp(-((np.log2(np.maximum(hertz, 1) / (tone.frequency * k)) / 0.25) ** 2)) for k in (1, 2, 4))
    noise = np.fft.irfft(band * np.fft.rfft(tone.random.normal(0, 1, pitched.size)), pitched.size)
    noise *= 0.12 / noise.std()
    end = tone.random.uniform(1.2, 1.6)
    return (pitched + noise) * swell(tone.time, 0.08, end, 0.2)


INSTRUMENTS: dict[str, Callable[[Tone], np.ndarray]] = {
    "plucked": plucked,
    "bar": struck_bar,
    "reed": reed,
    "bowed": bowed,
    "brass": brass,
    "bell": fm_bell,
    "organ": organ,
    "breath": breath,
}


def note_name(midi: int) -> str:
    """Scientific pitch name of a MIDI number: 60 is C4."""
    return f"{NAMES[midi % 12]}{midi // 12 - 1}"


def render(instrument: str, midi: int, loudness: str, seed: int) -> np.ndarray:
    """One note as float32 samples at 44.1 kHz, peak at the loudness; equal arguments, equal samples."""
    # crc32, as Python's own hash of a string changes with every process
    random = np.random.default_rng([seed, zlib.crc32(f"{instrument}-{midi}-{loudness}".encode())])
    frequency = 440 * 2 ** ((midi - 69 + random.normal(0, 0.05)) / 12)
    brightness = {"pp": 0.15, "mf": 0.5, "ff": 0.9}[loudness] + random.uniform(-0.1, 0.1)
    wave = INSTRUMENTS[instrument](Tone(frequency, brightness, random))
    fade = int(0.01 * SAMPLE_RATE)
    wave[-fade:] *= np.linspace(1, 0, fade)
    return (LOUDNESS[loudness] * wave / np.abs(wave).max()).astype(np.float32)


def catalogue(seed: int) -> Iterator[tuple[str, int, str]]:
    """Instrument, MIDI pitch and loudness of every note of the set."""
    for number, instrument in enumerate(INSTRUMENTS):
        random = np.random.default_rng([seed, number])
        midis = random.choice(np.arange(MIDI_RANGE[0], MIDI_RANGE[1] + 1), PITCHES, replace=False)
        for midi in sorted(int(midi) for midi in midis):
            for loudness in LOUDNESS:
                yield instrument, midi, loudness


def file_name(instrument: str, midi: int, loudness: str) -> str:
    """What a note's file is called."""
    return f"{instrument}-{midi:03d}-{note_name(midi)}-{loudness}.wav"


def write(root: Path, seed: int = 0) -> int:
    """Write the notes that are missing under ``root``; returns how many were written.

    Raises:
        Refusal: ``root`` holds other sounds, or can't be written
    """
    names = {note: file_name(*note) for note in catalogue(seed)}
    others = {path.name for path in root.rglob("*") if path.suffix.lower() in audio.SUFFIXES} - set(names.values())
    if others:
        raise Refusal(
            f"data.root: {root} holds {min(others)}, which is none of the built-in notes; "
            "for sounds of your own add data=folder"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"data.root: cannot write to {root}: {error.strerror}") from None
    written = 0
    for (instrument, midi, loudness), name in names.items():
        path = root / name
        if not path.exists():
            audio.write(path, render(instrument, midi, loudness, seed), SAMPLE_RATE, "PCM_16")
            written += 1
    return written
