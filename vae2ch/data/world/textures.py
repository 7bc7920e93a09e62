"""Textures: coloured noises, wind, water, rain, fire, hum, machines, clouds of grains."""

import numpy as np

from vae2ch.data.world.curves import RATE, Event, add_at, gate, upsample, wander
from vae2ch.data.world.engines import NOISE_HERTZ, at_noise_frames, cycles_of, harmonics, modes, noise, sine
from vae2ch.data.world.timbres import band, coloured, high_pass, low_pass, random_timbre


def hiss(event: Event) -> np.ndarray:
    """Noise of a fixed colour, held, swelling or decaying."""
    long_decay = np.exp(-event.time * 7 / max(event.length, 0.02))
    return noise(event, coloured(event, -2, 1)) * upsample(
        long_decay if event.chance(0.4) else gate(event), event.samples
    )


def sweep(event: Event) -> np.ndarray:
    """Noise through a filter that rises, falls or oscillates: whooshes, risers, sweeps."""
    octaves = event.draw(-5, 5) * event.time / max(event.time[-1], 0.1) + event.draw(0, 1.5) * wander(event, 2)
    centre = np.clip(event.draw_log(150, 8000) * 2**octaves, 60, 16000)
    width = event.draw(0.08, 1.2)
    magnitude = band(NOISE_HERTZ, at_noise_frames(event, centre), width) + event.draw(0, 0.05) * coloured(event)
    return noise(event, magnitude) * upsample(gate(event, event.draw_log(0.01, 0.9)), event.samples)


def wind(event: Event) -> np.ndarray:
    """Gusts: one or two wandering bands over a rumble."""
    magnitude = event.draw_log(0.02, 1) * low_pass(NOISE_HERTZ, event.draw_log(60, 400), 2)
    for _ in range(int(event.random.integers(1, 3))):
        centre = event.draw_log(200, 2500) * 2 ** (0.5 * wander(event, 1.5))
        level = np.exp(0.7 * wander(event, 2.5))
        shape = band(NOISE_HERTZ, at_noise_frames(event, centre), event.draw(0.1, 0.8))
        magnitude = magnitude + shape * at_noise_frames(event, level)
    return noise(event, magnitude) * upsample(gate(event, event.draw_log(0.02, 0.5)), event.samples)


def scattered(event: Event, parts: list[np.ndarray], rate: float, spread: float) -> np.ndarray:
    """Copies of parts at random times, ``rate`` a second for the event's length, of random loudness  [S]"""
    random = event.random
    wave = np.zeros(event.samples, np.float32)
    last = min(event.samples, max(1, int(event.length * RATE)))
    count = max(1, min(600, int(rate * last / RATE)))
    starts = random.integers(0, last, count)
    starts[0] = 0
    gains = np.exp(random.normal(0, spread, count)) * random.choice([-1, 1], count)
    for number, start in enumerate(starts):
        add_at(wave, parts[number % len(parts)], int(start), gains[number])
    return wave


def rain(event: Event) -> np.ndarray:
    """Drops, fire, gravel, vinyl: many short ticks over a bed of noise."""
    parts = []
    for _ in range(8):
        tick = event.shortened(event.draw_log(0.003, 0.05))
        hertz = np.exp(event.random.uniform(np.log(200), np.log(12000), 3))
        seconds = event.draw_log(0.002, 0.04)
        part = (
            modes(tick, hertz, event.random.random(3), seconds)
            if event.chance(0.5)
            else noise(tick, coloured(event, -1, 1))
        )
        parts.append(part * np.exp(-np.arange(part.size, dtype=np.float32) * np.float32(7 / (RATE * seconds))))
    wave = scattered(event, parts, event.draw_log(4, 400), event.draw(0.3, 1.5))
    bed = noise(event, coloured(event)) * upsample(gate(event, 0.01), event.samples)
    return wave / max(float(wave.std()), 1e-9) + np.float32(event.draw_log(0.003, 0.8)) * bed


def bubbles(event: Event) -> np.ndarray:
    """Water: short sines that rise while they decay."""
    parts = []
    for _ in range(6):
        drop = event.shortened(event.draw_log(0.02, 0.15))
        frequency = event.draw_log(300, 4000) * (1 + event.draw(0, 8) * drop.time)
        fall = np.exp(-drop.time / (0.2 * max(drop.time[-1], 0.01))) * np.clip(drop.time / 0.001, 0, 1)
        parts.append(sine(cycles_of(frequency, drop.samples)) * upsample(fall, drop.samples))
    wave = scattered(event, parts, event.draw_log(2, 60), event.draw(0.2, 1))
    bed = noise(event, coloured(event)) * upsample(gate(event, 0.02), event.samples)
    return wave + np.float32(event.draw_log(0.001, 0.1)) * bed


def hum(event: Event) -> np.ndarray:
    """Mains, motors, engines, insects: a steady low tone whose harmonics flutter, and noise in its rhythm."""
    pitch = float(event.random.choice([50, 60, 100, 120])) if event.chance(0.3) else event.draw_log(25, 250)
    event = event.but(pitch=pitch)
    flutter = 1 + event.draw(0, 0.05) * wander(event, event.draw_log(2, 30))
    wave = harmonics(event, pitch * flutter, random_timbre(event, (0.3, 1.8)))
    pulse = 1 + event.draw(0, 1) * np.sin(2 * np.pi * np.cumsum(pitch * flutter / event.draw(1, 8)) * 32 / RATE)
    air = noise(event, coloured(event)) * upsample(np.exp(0.3 * wander(event, 10)) * pulse, event.samples)
    wave = wave + np.float32(event.draw_log(0.01, 1.5) * wave.std() / max(float(air.std()), 1e-9)) * air
    return wave * upsample(gate(event), event.samples)


def grains(event: Event) -> np.ndarray:
    """Clouds of short tones or noises of related pitches."""
    parts = []
    seconds, tonal, spread = event.draw_log(0.01, 0.2), event.chance(0.7), event.draw_log(0.02, 2)
    for _ in range(10):
        grain = event.shortened(seconds * event.draw(0.5, 1.5))
        window = np.sin(np.pi * np.linspace(0, 1, grain.time.size)) ** event.draw(0.5, 3)
        pitch = np.clip(event.pitch * 2 ** event.random.normal(0, spread), 40, 12000)
        glide = 2 ** (event.draw(-0.5, 0.5) * event.chance(0.3) * grain.time / seconds)
        tone = grain.but(pitch=pitch)
        part = tone_of(tone, pitch * glide) if tonal else noise(grain, band(NOISE_HERTZ, pitch, 0.3))
        parts.append(part * upsample(window, grain.samples))
    return scattered(event, parts, event.draw_log(5, 120), event.draw(0.1, 1)) * upsample(
        gate(event, 0.01), event.samples
    )


def tone_of(event: Event, frequency: np.ndarray) -> np.ndarray:
    """A sine with a few harmonics on a curve of frequencies in Hz  [S]"""
    cycles = cycles_of(np.minimum(frequency, 14000), event.samples, event.draw(0, 1))
    wave = sine(cycles)
    for number in (2, 3):
        if number * float(frequency.max()) < 18000:
            wave = wave + np.float32(event.draw(0, 0.5)) * sine(cycles * np.float32(number))
    return wave


def chirp(event: Event) -> np.ndarray:
    """A sine or a rich tone that glides over octaves, once or periodically: sirens, lasers, sweeps."""
    seconds = max(min(event.length, event.time[-1]), 0.02)
    if event.chance(0.5):
        octaves = event.draw(-4, 4) * np.clip(event.time / seconds, 0, 1) ** event.draw(0.4, 2.5)
    else:
        octaves = event.draw(0.1, 1.5) * np.sin(2 * np.pi * (event.draw_log(0.4, 12) * event.time + event.draw(0, 1)))
    frequency = np.clip(event.pitch * 2**octaves, 25, 15000)
    wave = tone_of(event, frequency) if event.chance(0.6) else harmonics(event, frequency, random_timbre(event))
    return wave * upsample(gate(event, event.draw_log(0.002, 0.3)), event.samples)


def rumble(event: Event) -> np.ndarray:
    """Thunder, explosions, doors, impacts: low noise that decays unevenly, its highs first."""
    seconds = max(event.length, 0.1)
    cutoff = event.draw_log(80, 900) + event.draw_log(300, 9000) * np.exp(-event.time / (0.1 * seconds))
    magnitude = low_pass(NOISE_HERTZ, at_noise_frames(event, cutoff), event.draw(1, 3)) * high_pass(NOISE_HERTZ, 30, 2)
    envelope = np.exp(-event.time * 7 / seconds + event.draw(0, 0.8) * wander(event, event.draw(2, 15)))
    return noise(event, magnitude) * upsample(envelope * np.clip(event.time / 0.003, 0, 1), event.samples)
