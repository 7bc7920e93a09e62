"""Voices: a glottal source through moving formants, breath, whispers, consonants, animals."""

import numpy as np

from vae2ch.data.world.curves import Event, gate, pitch_curve, upsample, wander
from vae2ch.data.world.engines import NOISE_HERTZ, at_noise_frames, harmonics, noise
from vae2ch.data.world.timbres import band, formants

# first three formants in Hz of some vowels, men's averages (Peterson and Barney 1952)
VOWELS = np.array(
    [
        *([270, 2290, 3010], [390, 1990, 2550], [530, 1840, 2480], [660, 1720, 2410], [730, 1090, 2440]),
        *([570, 840, 2410], [440, 1020, 2240], [300, 870, 2240], [640, 1190, 2390], [490, 1350, 1690]),
    ]
)


class Tract:
    """Formants that move from vowel to vowel."""

    def __init__(self, event: Event, rate: float) -> None:
        time = event.time
        count = int(time[-1] * rate) + 2
        scale = event.draw_log(0.8, 1.6)  # from long tracts to those of children and animals
        targets = VOWELS[event.random.integers(0, len(VOWELS), count)] * event.random.normal(1, 0.06, (count, 3))
        targets = np.concatenate([targets, np.tile([3500, 4500], (count, 1))], axis=1) * scale
        position = np.minimum(time * rate, count - 1.001)
        step = np.floor(position).astype(int)
        glide = np.clip((position - step - 0.5) / 0.5, 0, 1)[:, None]  # held, then moving
        self.time, self.centres = time, targets[step] * (1 - glide) + targets[step + 1] * glide  # [N, 5]
        self.widths = np.array([70, 90, 130, 180, 250]) * event.draw(0.8, 2)
        self.gains = np.array([1, 0.7, 0.45, 0.3, 0.2]) * event.random.uniform(0.4, 1.6, 5)

    def response(self, hertz: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Gain at frequencies [F] or [M, F] in Hz and times [M] in s  [M, F]"""
        points = np.searchsorted(self.time, time).clip(0, self.time.size - 1)
        return 0.01 + formants(hertz, self.centres[points], self.widths, self.gains)


def syllables(event: Event, rate: float) -> np.ndarray:
    """Loudness that rises and falls with each syllable, now and then pausing  [N]"""
    position = event.time * rate
    step = np.floor(position).astype(int)
    level = np.exp(event.random.normal(0, 0.5, step.max() + 1)) * (event.random.random(step.max() + 1) > 0.15)
    level[0] = max(level[0], 0.7)
    return level[step] * np.sin(np.pi * (position - step)) ** event.draw(0.3, 1.0)


def voiced(event: Event, tract: Tract, envelope: np.ndarray, intonation: np.ndarray) -> np.ndarray:
    """Harmonics of the vocal folds and breath, through the tract  [S]"""
    tilt, jitter = event.draw(1.0, 2.0), event.draw_log(5e-4, 8e-3)
    frequency = pitch_curve(event, steady=True) * 2**intonation * np.exp(jitter * wander(event, 60))

    def timbre(time: np.ndarray, hertz: np.ndarray, number: np.ndarray) -> np.ndarray:
        return number**-tilt * tract.response(hertz, time[:, 0])

    wave = harmonics(event, frequency, timbre) * upsample(envelope, event.samples)
    air = whisper(event, tract, envelope)
    return wave + np.float32(event.draw_log(0.003, 0.3) * wave.std() / max(float(air.std()), 1e-9)) * air


def whisper(event: Event, tract: Tract, envelope: np.ndarray) -> np.ndarray:
    """Noise through the tract  [S]"""
    times = at_noise_frames(event, event.time)[:, 0]
    return noise(event, tract.response(NOISE_HERTZ, times)) * upsample(envelope, event.samples)


def singing(event: Event) -> np.ndarray:
    """A held vowel, or a slow change of vowels."""
    pitch = float(np.clip(event.pitch, 60, 1100))
    event = event.but(pitch=pitch)
    return voiced(event, Tract(event, event.draw_log(0.3, 3)), gate(event, event.draw_log(0.01, 0.2)), 0 * event.time)


def speech(event: Event) -> np.ndarray:
    """Syllables with intonation and consonants; at times whispered."""
    event = event.but(pitch=event.draw_log(75, 380))
    rate = event.draw(2.5, 8)
    tract, envelope = Tract(event, rate), syllables(event, rate) * gate(event, 0.01, 0.05)
    intonation = 0.25 * event.draw(0.2, 1.5) * wander(event, 3) - event.draw(0, 0.3) * event.time
    wave = whisper(event, tract, envelope) if event.chance(0.1) else voiced(event, tract, envelope, intonation)
    return wave + np.float32(event.draw_log(0.05, 1) * max(float(wave.std()), 1e-6)) * consonants(event, rate)


def consonants(event: Event, rate: float) -> np.ndarray:
    """Fricatives and bursts between syllables  [S]"""
    time = event.time
    step = np.floor(time * rate + 0.5).astype(int)
    distance = (time * rate + 0.5 - step - 0.5) / rate  # seconds to the nearest border of two syllables
    count = step.max() + 1
    width = np.exp(event.random.uniform(np.log(0.006), np.log(0.06), count))[step]
    level = np.exp(event.random.normal(0, 0.8, count))[step] * (event.random.random(count) < 0.7)[step]
    envelope = level * np.exp(-0.5 * (distance / width) ** 2) * (time < event.length)
    centre = np.exp(event.random.uniform(np.log(1200), np.log(9000), count))[step]
    return noise(event, band(NOISE_HERTZ, at_noise_frames(event, centre), 0.5)) * upsample(envelope, event.samples)


def call(event: Event) -> np.ndarray:
    """Birds, dogs, cats: short fast glides through one or two formants."""
    rate = event.draw_log(1.5, 14)
    tract = Tract(event, rate)
    glide = event.draw(0.1, 1.0) * np.sin(2 * np.pi * (event.time * rate * event.draw(0.5, 1.5) + event.draw(0, 1)))
    pitch = event.draw_log(150, 5000)
    return voiced(event.but(pitch=pitch), tract, syllables(event, rate) * gate(event, 0.005, 0.05), glide)
