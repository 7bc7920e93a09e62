"""Sustained tones without a resonant body: additive, inharmonic, drawbars, unison, subtractive, FM."""

import numpy as np

from vae2ch.data.world.curves import Event, gate, pitch_curve, upsample, vibrato, wander
from vae2ch.data.world.engines import cycles_of, harmonics, modes, sine
from vae2ch.data.world.timbres import moving_filter, random_timbre


def additive(event: Event) -> np.ndarray:
    """Harmonics of a random spectrum with drift and vibrato, and shimmer of their loudness."""
    shimmer = np.exp(event.draw(0, 0.25) * wander(event, event.draw_log(3, 30)))
    wave = harmonics(event, pitch_curve(event), random_timbre(event))
    return wave * upsample(gate(event) * shimmer, event.samples)


def stretched(event: Event) -> np.ndarray:
    """Partials that are stretched or shifted from the harmonics, each with a decay or a beat of its own."""
    number = np.arange(1, int(event.random.integers(6, 60)))
    ratios = number ** event.draw(0.85, 1.25) + (event.draw(0, 0.3) * (number > 1) if event.chance(0.3) else 0)
    amplitude = number ** -event.draw(0.5, 2.2) * np.exp(event.random.normal(0, 0.7, number.size))
    amplitude[0] = max(amplitude[0], 1.5 * amplitude[1:].max())
    seconds = np.minimum(event.length, 20) * event.draw(2, 8) / number ** event.draw(0, 0.6)
    detune = 1 + event.random.normal(0, event.draw_log(1e-4, 4e-3), number.size) / np.sqrt(number)
    hertz = event.pitch * ratios
    pairs = np.concatenate([hertz, hertz * detune])
    wave = modes(event, pairs, np.concatenate([amplitude, amplitude * event.draw(0, 1)]), np.tile(seconds, 2))
    return wave * upsample(gate(event), event.samples)


def drawbars(event: Event) -> np.ndarray:
    """An organ: few octaves and fifths, fast attack, at times a rotating speaker."""
    bars = {1: 1.0} | {number: event.draw(0, 1) * event.chance(0.6) for number in (2, 3, 4, 5, 6, 8, 10, 12, 16)}
    tremolo = 1 + (vibrato(event, event.draw(0.05, 0.4)) if event.chance(0.5) else 0)

    def timbre(time: np.ndarray, hertz: np.ndarray, number: np.ndarray) -> np.ndarray:
        return np.array([bars.get(int(n), 0.0) * n ** (0.6 * event.brightness - 0.6) for n in number]) + 0 * time

    wave = harmonics(event, pitch_curve(event, steady=True), timbre)
    return wave * upsample(gate(event, event.draw_log(0.001, 0.02), event.draw_log(0.01, 0.1)) * tremolo, event.samples)


def unison(event: Event) -> np.ndarray:
    """Several detuned oscillators of one spectrum: strings, pads, choruses."""
    count, spread = int(event.random.integers(2, 6)), event.draw_log(0.001, 0.015)
    detunings = tuple(np.exp(event.random.normal(0, spread, count)))
    attack = event.draw_log(0.005, 0.8)
    wave = harmonics(event, pitch_curve(event), random_timbre(event, (0.8, 2.2)), detunings)
    return wave * upsample(gate(event, attack), event.samples)


def subtractive(event: Event) -> np.ndarray:
    """Saw or pulse, whose width may move, through a moving resonant filter; short ones are basses and stabs."""
    pulse = event.chance(0.5)
    width, depth, rate = event.draw(0.05, 0.5), event.draw(0, 0.3), event.draw_log(0.2, 6)
    filtered = moving_filter(event)

    def timbre(time: np.ndarray, hertz: np.ndarray, number: np.ndarray) -> np.ndarray:
        duty = np.clip(width + depth * np.sin(2 * np.pi * rate * time), 0.03, 0.97)
        source = np.abs(np.sin(np.pi * number * duty)) if pulse else 1.0
        amplitude = np.maximum(source, 0.002) / number * filtered(time, hertz, number)
        return amplitude / np.maximum(1.0, np.abs(amplitude).max(axis=1, keepdims=True))

    detunings = (1.0,) if event.chance(0.6) else (1.0, 1 + event.draw_log(0.0005, 0.01))
    wave = harmonics(event, pitch_curve(event), timbre, detunings)
    return wave * upsample(gate(event, event.draw_log(0.001, 0.05)), event.samples)


def frequency_modulation(event: Event) -> np.ndarray:
    """Frequency modulation with a falling index (Chowning 1973); in 3 of 10 events by a second modulator, too."""
    time, samples = event.time, event.samples
    harmonic = event.chance(0.65)
    ratio = float(event.random.integers(1, 8)) if harmonic else event.draw_log(0.3, 9)
    ratio = ratio / (2.0 if event.chance(0.15) else 1.0)
    seconds = event.draw_log(0.03, 1.5)
    highest = np.clip((18000 / event.pitch - 1) / ratio - 1, 0.2, 9)  # Carson's rule: no aliasing to speak of
    peak = min(event.draw_log(0.2, 9) * (0.4 + event.brightness), highest)
    index = peak * (event.draw(0.05, 1) + np.exp(-time / seconds)) / 2
    frequency = pitch_curve(event)
    modulator = cycles_of(frequency * ratio * (1 + event.draw(-0.002, 0.002)), samples, event.draw(0, 1))
    phase = upsample(index, samples) * sine(modulator)
    if event.chance(0.3):
        phase = phase + np.float32(event.draw(0.1, 0.6)) * sine(modulator + np.float32(0.1) * phase)
    wave = np.sin(np.float32(2 * np.pi) * cycles_of(frequency, samples) + phase)
    decay = np.exp(-time * np.log(1000) / max(event.length, 0.05)) * np.clip(time / 0.002, 0, 1)
    return wave * upsample(decay if event.chance(0.5) else gate(event), samples)
