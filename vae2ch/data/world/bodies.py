"""Struck bodies: bars, plates, bells, glass, bowls, and bodies of random modes."""

import numpy as np

from vae2ch.data.world.curves import Event, fade_in, upsample
from vae2ch.data.world.engines import NOISE_HERTZ, modes, noise
from vae2ch.data.world.timbres import high_pass, low_pass


def strike(event: Event, ratios: np.ndarray, amplitude: np.ndarray, damping: float, power: float) -> np.ndarray:
    """Modes that decay the faster the higher they are, a part of them split in two that beat, and a stroke  [S]"""
    random = event.random
    ratios = ratios * np.exp(random.normal(0, 0.004, ratios.size) * (ratios != 1))
    seconds = event.draw(0.8, 2) * event.length / (1 + damping * np.maximum(ratios / ratios[0] - 1, 0) ** power)
    seconds = seconds * np.exp(random.normal(0, 0.35, ratios.size))
    hardness = event.draw_log(2, 40) * (0.3 + event.brightness)  # multiples of the pitch that the mallet excites
    amplitude = amplitude * np.exp(random.normal(0, 0.5, ratios.size)) / (1 + (ratios / hardness) ** 2)
    split = 1 + event.draw_log(2e-4, 6e-3) * random.random(ratios.size)
    weight = random.random(ratios.size) * event.chance(0.7)
    hertz = event.pitch * ratios
    wave = modes(event, np.append(hertz, hertz * split), np.append(amplitude, amplitude * weight), np.tile(seconds, 2))
    short = event.shortened(0.08)
    stroke = noise(short, low_pass(NOISE_HERTZ, event.pitch * hardness, 2) * high_pass(NOISE_HERTZ, event.pitch, 1))
    stroke *= upsample(np.exp(-short.time / event.draw_log(0.001, 0.012)), short.samples)
    level = event.draw_log(0.005, 0.5) * np.abs(wave[:4000]).max() / max(float(np.abs(stroke).max()), 1e-9)
    wave[: stroke.size] += np.float32(level) * stroke
    return fade_in(wave, event.draw_log(0.0002, 0.003))


def bar(event: Event) -> np.ndarray:
    """Xylophones, marimbas, kalimbas, glockenspiels: free or tuned bars."""
    free = np.array([1, 2.756, 5.404, 8.933, 13.34, 18.64])
    tuned = np.array([1, event.draw(2.95, 4.1), event.draw(6, 10.2), event.draw(12, 20)])
    ratios = free if event.chance(0.4) else tuned
    amplitude = np.append(1, event.draw(0.05, 0.8) * ratios[1:] ** -event.draw(0, 1))
    return strike(event, ratios, amplitude, event.draw_log(0.1, 1.5), event.draw(0.6, 1.4))


def bell(event: Event) -> np.ndarray:
    """Church bells, tubular bells, hand bells: hum, prime, tierce, quint, nominal and above."""
    ratios = np.array([1, 2, 2.4, 3, 4, 5.33, 6.67, 8, 10.1, 12.1, 14.2]) * np.append(
        1, event.random.normal(1, 0.02, 10)
    )
    amplitude = np.append(1, event.random.uniform(0.1, 1.5, 10) * ratios[1:] ** -event.draw(0, 1.2))
    return strike(
        event.but(length=event.length * 1.5), ratios, amplitude, event.draw_log(0.05, 0.6), event.draw(0.6, 1.2)
    )


def plate(event: Event) -> np.ndarray:
    """Sheets, gongs, pots, anvils: many modes, of constant density over frequency, as in a thin plate."""
    count = int(event.draw_log(15, 110))
    ratios = np.sort(1 + np.cumsum(event.random.exponential(event.draw_log(0.08, 0.8), count)))
    ratios = np.append(1, ratios)
    amplitude = ratios ** -event.draw(0.1, 1.3)
    return strike(event, ratios, amplitude, event.draw_log(0.02, 0.5), event.draw(0.5, 1.2))


def glass(event: Event) -> np.ndarray:
    """Glasses, bottles, bowls, triangles: few modes, with ratios near n to the power of 1.4 to 2.1."""
    count = int(event.random.integers(3, 9))
    ratios = np.append(
        1, np.sort(np.arange(2, count + 1) ** event.draw(1.4, 2.1) * event.random.normal(1, 0.05, count - 1))
    )
    amplitude = event.random.uniform(0.1, 1, count)
    amplitude[0] = 1
    return strike(
        event.but(length=event.length * event.draw(0.7, 2)), ratios, amplitude, event.draw_log(0.02, 0.5), 0.8
    )


def wood(event: Event) -> np.ndarray:
    """Blocks, claves, castanets, knocks: few strongly damped modes."""
    count = int(event.random.integers(2, 7))
    ratios = np.append(1, np.sort(event.random.uniform(1.3, 9, count - 1)))
    short = event.but(length=min(event.length, event.draw_log(0.03, 0.4))).shortened(0.8)
    return strike(short, ratios, event.random.uniform(0.2, 1, count), event.draw_log(0.1, 1), 1.0)


def debris(event: Event) -> np.ndarray:
    """Random modes anywhere: objects that nobody tuned."""
    count = int(event.draw_log(5, 80))
    ratios = np.append(1, event.random.uniform(0.5, 16000 / event.pitch + 1, count))
    return strike(
        event, ratios, event.random.uniform(0, 1, count + 1) ** 3, event.draw_log(0.01, 1), event.draw(0.3, 1)
    )
