"""Strings that are plucked, struck or bowed."""

import numpy as np

from vae2ch.data.world.curves import Event, fade_in, gate, pitch_curve, upsample, wander
from vae2ch.data.world.engines import NOISE_HERTZ, harmonics, modes, noise
from vae2ch.data.world.timbres import formants, random_resonances, random_timbre

MAX_PARTIALS = 90


def string(event: Event, tilt: float, choirs: int, stiffness: float, position: float) -> np.ndarray:
    """Decaying partials n sqrt(1 + B n^2) of one or several nearly equal strings; high ones decay first  [S]"""
    random = event.random
    number = np.arange(1, int(np.clip(20000 / event.pitch, 3, MAX_PARTIALS)))
    ratios = number * np.sqrt((1 + stiffness * number**2) / (1 + stiffness))
    amplitude = np.abs(np.sin(np.pi * number * position)) * number**-tilt * np.exp(random.normal(0, 0.3, number.size))
    hertz = event.pitch * ratios
    if event.chance(0.6):
        amplitude = amplitude * (0.2 + formants(hertz, *random_resonances(event, 4)))
    damping = event.draw_log(0.02, 0.5)
    seconds = event.draw(1, 3) * event.length / (1 + damping * (number - 1) ** event.draw(0.7, 1.3))
    spread = event.draw_log(1e-4, 1.5e-3)
    hertz, amplitude = np.tile(hertz, choirs), np.tile(amplitude, choirs)
    seconds = np.tile(seconds, choirs) * np.exp(random.normal(0, 0.4, hertz.size))
    weight = np.exp(random.normal(0, 0.5, hertz.size))
    detunings = np.repeat(1 + spread * np.arange(choirs) * random.choice([-1, 1], choirs), number.size)
    return modes(event, hertz * detunings, amplitude * weight, seconds)


def knock(event: Event, level: float) -> np.ndarray:
    """Short noise of a pick or a hammer, as far as it reaches into the sound  [at most S]"""
    short = event.shortened(0.12)
    centre = event.draw_log(300, 6000)
    wave = noise(short, 1 / (1 + (NOISE_HERTZ / centre) ** 2))
    return level * wave * upsample(np.exp(-short.time / event.draw_log(0.002, 0.02)), short.samples)


def plucked(event: Event) -> np.ndarray:
    """Guitars, harps, lutes, basses, harpsichords."""
    tilt = event.draw(0.4, 2.0) + 0.6 * (1 - event.brightness)
    choirs = 1 + int(event.random.choice(3, p=[0.55, 0.35, 0.1]))
    wave = string(event, tilt, choirs, event.draw_log(1e-6, 5e-4), event.draw(0.04, 0.5))
    tap = knock(event, event.draw_log(0.003, 0.3) * float(np.abs(wave[:2000]).max(initial=0.1)))
    wave[: tap.size] += tap
    damped = event.length < 0.4 and event.chance(0.5)  # stopped by the hand
    envelope = gate(event, 0.001, event.draw_log(0.02, 0.2)) if damped else np.ones_like(event.time)
    return fade_in(wave * upsample(envelope, event.samples), event.draw_log(0.0003, 0.004))


def struck(event: Event) -> np.ndarray:
    """Pianos, clavichords, dulcimers, electric pianos: stiffer, in choirs, soft attack at low loudness."""
    tilt = event.draw(0.7, 1.8) + 1.2 * (1 - event.brightness)
    wave = string(event, tilt, int(event.random.integers(1, 4)), event.draw_log(5e-5, 2e-3), event.draw(0.08, 0.2))
    thump = knock(event, event.draw_log(0.01, 0.2) * float(np.abs(wave[:2000]).max(initial=0.1)))
    wave[: thump.size] += thump
    return fade_in(wave, event.draw_log(0.001, 0.008))


def bowed(event: Event) -> np.ndarray:
    """Violins to basses: a saw through a body, and the noise of the bow, both swelling."""
    body = random_resonances(event, 6, 200, 5000)
    plain = random_timbre(event, (0.7, 1.8))

    def timbre(time: np.ndarray, hertz: np.ndarray, number: np.ndarray) -> np.ndarray:
        speaking = 1 - 0.9 * np.exp(-time / 0.04) * (1 - 1 / number)
        return plain(time, hertz, number) * (0.3 + formants(hertz[0], *body)) * speaking

    count = 1 if event.chance(0.7) else int(event.random.integers(2, 5))  # one player, or a section
    detunings = tuple(np.exp(event.random.normal(0, 0.004, count))) if count > 1 else (1.0,)
    wave = harmonics(event, pitch_curve(event), timbre, detunings)
    rosin = noise(event, (0.02 + formants(NOISE_HERTZ, *body)) * (event.pitch * 0.8 < NOISE_HERTZ))
    rosin *= np.float32(event.draw_log(0.001, 0.1) * wave.std() / max(float(rosin.std()), 1e-9))
    tremolo = 1 + 0.4 * np.tanh(wander(event, 2 * event.draw(6, 12))) * event.chance(0.15)
    return (wave + rosin) * upsample(gate(event, event.draw_log(0.02, 0.4)) * tremolo, event.samples)
