"""Curves of pitch, loudness and timbre over time: computed at few points, interpolated to samples."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

RATE = 44100  # Hz; one rate serves models of all rates: nothing is missing up to the 22 kHz that a CD holds
BLOCK = 32  # samples between two points of a curve


@dataclass(frozen=True)
class Event:
    """Parameters of one sound event, which begins at sample 0."""

    random: np.random.Generator
    samples: int  # to be rendered
    pitch: float  # Hz
    length: float  # seconds for which it lasts, or after which it has decayed by about 60 dB
    brightness: float  # 0 dark to 1 bright

    @property
    def time(self) -> np.ndarray:
        """Times of the points of a curve in seconds  [N]"""
        return np.arange(-(-self.samples // BLOCK) + 1) * (BLOCK / RATE)

    def draw(self, low: float, high: float) -> float:
        """Uniform random number."""
        return float(self.random.uniform(low, high))

    def draw_log(self, low: float, high: float) -> float:
        """Random number whose logarithm is uniform."""
        return float(np.exp(self.random.uniform(np.log(low), np.log(high))))

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return bool(self.random.random() < probability)

    def but(self, **changes: Any) -> "Event":
        """An event with other parameters."""
        return replace(self, **changes)

    def shortened(self, seconds: float) -> "Event":
        """The event, rendered for no more than these seconds."""
        return replace(self, samples=max(BLOCK, min(self.samples, int(seconds * RATE))))


def upsample(curve: np.ndarray, samples: int) -> np.ndarray:
    """Linear interpolation of a curve [N] to float32 samples  [S]"""
    curve = curve.astype(np.float32)
    ramp = np.arange(BLOCK, dtype=np.float32) / BLOCK
    return (curve[:-1, None] + np.diff(curve)[:, None] * ramp).reshape(-1)[:samples]


def wander(event: Event, rate: float) -> np.ndarray:
    """Smooth random curve that takes a new value ``rate`` times a second, mean 0 and standard deviation about 1  [N]"""
    time = event.time
    values = event.random.normal(0, 1.2, int(time[-1] * rate) + 3)
    position = time * rate + event.draw(0, 1)
    return np.interp(position, np.arange(values.size), values)


def vibrato(event: Event, depth: float, delay: float = 0.0) -> np.ndarray:
    """Periodic curve, rising to ``depth`` after ``delay`` s, of slightly irregular rate  [N]"""
    time = event.time
    rate = event.draw(3.5, 7.5) * (1 + 0.05 * wander(event, 3))
    cycles = event.draw(0, 1) + np.cumsum(rate) * (BLOCK / RATE)
    return depth * np.clip((time - delay) / 0.3, 0, 1) * np.sin(2 * np.pi * cycles)


def pitch_curve(event: Event, steady: bool = False) -> np.ndarray:
    """Fundamental frequency in Hz: drift, and at times vibrato, a scoop into the note or a glissando  [N]"""
    time = event.time
    octaves = wander(event, event.draw_log(0.7, 8)) * event.draw_log(1e-4, 3e-3)
    if event.chance(0.35):
        octaves = octaves + vibrato(event, event.draw_log(0.003, 0.05), event.draw(0, 0.6))
    if not steady and event.chance(0.15):
        octaves = octaves + event.draw(-0.5, 0.3) * np.exp(-time / event.draw_log(0.01, 0.15))
    if not steady and event.chance(0.08):
        middle, width = event.draw(0, 1.5), event.draw_log(0.05, 0.8)
        octaves = octaves + event.draw(-1, 1) / (1 + np.exp(np.clip(-(time - middle) / width * 4, -50, 50)))
    return np.clip(event.pitch * 2**octaves, 15, 0.4 * RATE)


def gate(event: Event, attack: float | None = None, release: float | None = None) -> np.ndarray:
    """Envelope of a sound that is held for its length: attack, decay, sustain with swells, release  [N]"""
    time = event.time
    attack = event.draw_log(0.002, 0.12) if attack is None else attack
    release = event.draw_log(0.01, 0.5) if release is None else release
    attack, end = min(attack, 0.5 * event.length), event.length
    rise = np.clip(time / attack, 0, 1) ** event.draw(0.6, 2.0)
    sustain = event.draw(0.15, 1.0)
    body = sustain + (1 - sustain) * np.exp(-np.maximum(time - attack, 0) / event.draw_log(0.03, 0.8))
    body = body * np.exp(event.draw(-0.6, 0.5) * time + event.draw(0, 0.15) * wander(event, event.draw_log(1, 12)))
    fall = np.where(time < end, 1.0, np.exp(-np.maximum(time - end, 0) / (0.2 * release)))
    return rise * body * fall


def fade_in(wave: np.ndarray, seconds: float) -> np.ndarray:
    """The wave [S] with a linear rise at its beginning, in place."""
    count = min(wave.size, max(1, int(seconds * RATE)))
    wave[:count] *= np.arange(1, count + 1, dtype=np.float32) / count
    return wave


def add_at(wave: np.ndarray, part: np.ndarray, start: int, gain: float = 1.0) -> None:
    """Add a part to a wave [S], from sample ``start`` on; what exceeds the wave is dropped."""
    count = min(part.size, wave.size - start)
    if count > 0:
        wave[start : start + count] += np.float32(gain) * part[:count]


def normalised(wave: np.ndarray) -> np.ndarray:
    """The wave [S] at a peak of 1, or zeros if it is silent."""
    peak = float(np.abs(wave).max(initial=0))
    return wave * np.float32(1 / peak) if peak > 1e-9 else wave
