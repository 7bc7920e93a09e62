"""Drums of every kind: membranes, snares, metals, claps, clicks, shakers, electronic ones."""

import numpy as np

from vae2ch.data.world.curves import BLOCK, RATE, Event, fade_in, normalised, upsample
from vae2ch.data.world.engines import NOISE_HERTZ, cycles_of, modes, noise, sine
from vae2ch.data.world.timbres import band, coloured, high_pass, low_pass

# frequencies of the modes of a circular membrane, relative to the first
MEMBRANE = np.array([1, 1.593, 2.136, 2.295, 2.653, 2.917, 3.155, 3.5, 3.598, 3.647, 4.059, 4.131, 4.601, 5.131])


def decay(event: Event, seconds: float) -> np.ndarray:
    """Samples of an envelope that falls by 60 dB in ``seconds``  [S]"""
    return upsample(np.exp(-event.time * np.log(1000) / max(seconds, 2e-3)), event.samples)


def burst(event: Event, magnitude: np.ndarray, seconds: float) -> np.ndarray:
    """Noise that decays by 60 dB in ``seconds``, peak 1  [S]"""
    short = event.shortened(1.2 * seconds + 0.02)
    wave = np.zeros(event.samples, np.float32)
    wave[: short.samples] = normalised(noise(short, magnitude) * decay(short, seconds))
    return wave


def kick(event: Event) -> np.ndarray:
    """A falling sine with a click, at times driven; long ones are electronic basses."""
    seconds = float(np.clip(event.length, 0.1, 2.5))
    pitch, drop = event.draw_log(32, 130), event.draw_log(0.3, 9)
    frequency = pitch * (1 + drop * np.exp(-event.time / event.draw_log(0.005, 0.08)))
    wave = sine(cycles_of(np.minimum(frequency, 8000), event.samples, event.draw(0, 1))) * decay(event, seconds)
    wave += np.float32(event.draw_log(0.01, 0.5)) * burst(event, coloured(event), event.draw_log(0.005, 0.06))
    drive = event.draw_log(0.3, 6)
    return np.tanh(np.float32(drive) * fade_in(wave, event.draw_log(0.0005, 0.004))) if event.chance(0.5) else wave


def membrane(event: Event) -> np.ndarray:
    """Toms, congas, tablas, timpani, hand drums: modes of a skin that falls in pitch, with the stroke's noise."""
    pitch, seconds = event.draw_log(50, 600), float(np.clip(event.length, 0.05, 3))
    ratios = MEMBRANE ** event.draw(0.6, 1.1) * event.random.normal(1, 0.02, MEMBRANE.size)
    amplitude = event.random.uniform(0.05, 1, ratios.size) * ratios ** -event.draw(0.5, 3)
    lengths = seconds / ratios ** event.draw(0.3, 2) * np.exp(event.random.normal(0, 0.3, ratios.size))
    wave = normalised(modes(event, pitch * ratios, amplitude, lengths))
    falling = pitch * (1 + event.draw_log(0.02, 0.6) * np.exp(-event.time / event.draw_log(0.01, 0.1)))
    head = sine(cycles_of(falling, event.samples, event.draw(0, 1))) * decay(event, seconds)
    wave = wave * np.float32(event.draw(0.2, 1)) + head
    skin = burst(event, band(NOISE_HERTZ, pitch * event.draw_log(2, 20), event.draw(0.5, 2)), event.draw_log(0.01, 0.2))
    return fade_in(wave + np.float32(event.draw_log(0.02, 1)) * skin, 0.001)


def snare(event: Event) -> np.ndarray:
    """Head modes and wires: acoustic, electronic or brushed."""
    seconds = float(np.clip(event.length, 0.06, 1.2))
    head = event.draw_log(130, 400) * np.array([1, event.draw(1.4, 1.9), event.draw(2, 2.6), event.draw(3, 4)])
    wave = normalised(modes(event, head, event.random.uniform(0.2, 1, 4), seconds * event.draw(0.2, 0.8)))
    wires = high_pass(NOISE_HERTZ, event.draw_log(200, 3000), 2) * coloured(event, -0.6, 0.5)
    wave *= np.float32(event.draw(0.1, 1))
    return wave + np.float32(event.draw(0.3, 1.5)) * burst(event, wires, seconds) + burst(event, coloured(event), 0.02)


def metal(event: Event) -> np.ndarray:
    """Hats, cymbals, bells of cymbals, tambourines: very many modes and noise, choked or ringing."""
    open_seconds = float(np.clip(event.length * event.draw(0.5, 3), 0.03, 6))
    count, low = int(event.draw_log(20, 160)), event.draw_log(250, 5000)
    hertz = np.exp(event.random.uniform(np.log(low), np.log(17000), count))
    lengths = open_seconds * (hertz / 3000) ** -event.draw(-0.2, 0.7) * np.exp(event.random.normal(0, 0.4, count))
    wave = normalised(modes(event, hertz, event.random.uniform(0, 1, count) ** 2, np.minimum(lengths, 12)))
    hiss = high_pass(NOISE_HERTZ, low * event.draw(0.7, 3), event.draw(1, 4)) * coloured(event, -0.8, 0.3)
    wave = wave + np.float32(event.draw_log(0.05, 3)) * burst(event, hiss, min(open_seconds, 3))
    wave += np.float32(event.draw(0, 0.8)) * burst(event, coloured(event, -0.5, 0.5), event.draw_log(0.003, 0.03))
    swell = event.draw_log(0.0003, 0.003) if event.chance(0.85) else event.draw_log(0.01, 0.4)
    return fade_in(wave, swell)


def square_metal(event: Event) -> np.ndarray:
    """Electronic hats and cow bells: clusters of square oscillators through a high-pass."""
    count = int(event.random.integers(2, 8))
    bases = event.draw_log(200, 900) * event.random.uniform(1, 2.5, count)
    odd = 2 * np.arange(12) + 1
    hertz = (bases[:, None] * odd).ravel()
    amplitude = (np.ones(count)[:, None] / odd).ravel() * high_pass(hertz, event.draw_log(300, 7000), 3)
    seconds = float(np.clip(event.length, 0.03, 1.5))
    wave = normalised(modes(event, hertz, amplitude, 60.0)) * decay(event, seconds)
    return wave + np.float32(event.draw(0, 0.5)) * burst(event, high_pass(NOISE_HERTZ, 5000, 3), seconds)


def clap(event: Event) -> np.ndarray:
    """Hands: some bursts within hundredths of a second, and a tail."""
    count, gap = int(event.random.integers(1, 6)), event.draw_log(0.004, 0.02)
    envelope = event.draw(0.1, 0.8) * np.exp(-event.time / (0.15 * float(np.clip(event.length, 0.05, 1))))
    for number in range(count):
        since = event.time - number * gap * event.draw(0.8, 1.2)
        envelope = envelope + np.where(since >= 0, np.exp(-np.maximum(since, 0) / event.draw_log(0.002, 0.01)), 0)
    magnitude = band(NOISE_HERTZ, event.draw_log(600, 3500), event.draw(0.2, 1.2)) + event.draw(0, 0.2) * coloured(
        event
    )
    return noise(event, magnitude) * upsample(envelope, event.samples)


def click(event: Event) -> np.ndarray:
    """Clicks, ticks, keys, switches, snaps: some milliseconds of anything, once or twice."""
    wave = np.zeros(event.samples, np.float32)
    for start in [0, int(event.draw_log(0.02, 0.3) * RATE)][: 1 + event.chance(0.3)]:
        part = event.shortened(0.2)
        hertz = np.exp(event.random.uniform(np.log(300), np.log(12000), 6))
        tick = modes(part, hertz, event.random.random(6), event.draw_log(0.004, 0.08))
        tick = normalised(tick) + np.float32(event.draw(0, 1)) * burst(
            part, coloured(event), event.draw_log(0.002, 0.05)
        )
        room = wave.size - start
        wave[start : start + tick.size] += np.float32(event.draw(0.4, 1)) * tick[: max(room, 0)]
    return wave


def shaker(event: Event) -> np.ndarray:
    """Shakers, maracas, brushes, guiros: noise in a band, in strokes that swell and stop."""
    rate = event.draw_log(2, 14) if event.chance(0.5) else 1 / max(event.length, 0.05)
    stroke = event.time * rate
    level = np.exp(event.random.normal(0, 0.3, int(stroke[-1]) + 1))[stroke.astype(int)] * (event.time < event.length)
    rise = event.draw(0.05, 0.8)
    position = stroke % 1
    envelope = np.where(position < rise, (position / rise) ** 2, np.exp(-(position - rise) * event.draw(3, 15)))
    if event.chance(0.4):  # a scraped surface
        envelope = envelope * (0.5 + 0.5 * np.sin(2 * np.pi * event.draw(25, 120) * event.time))
    magnitude = band(NOISE_HERTZ, event.draw_log(1500, 10000), event.draw(0.2, 1.0)) + 0.05 * coloured(event)
    return noise(event, magnitude) * upsample(level * envelope, event.samples)


def zap(event: Event) -> np.ndarray:
    """Electronic percussion: a fast exponential fall or rise of a sine or a ring-modulated pair."""
    seconds = float(np.clip(event.length, 0.03, 0.8))
    octaves, speed = event.draw(-6, 4), event.draw_log(0.01, 0.5)
    frequency = np.clip(event.pitch * 2 ** (octaves * (np.exp(-event.time / speed) - 0.3)), 20, 14000)
    wave = sine(cycles_of(frequency, event.samples, event.draw(0, 1)))
    if event.chance(0.4):
        wave = wave * sine(cycles_of(np.full(event.time.size, event.draw_log(40, 2000)), event.samples))
    if event.chance(0.3):
        wave = wave + np.float32(event.draw(0.1, 1)) * noise(event, low_pass(NOISE_HERTZ, event.draw_log(500, 9000), 2))
    return fade_in(wave * decay(event, seconds), BLOCK / RATE)
