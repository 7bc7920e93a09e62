"""Blown pipes, reeds and brass: harmonics with attacks, and noise of breath."""

import numpy as np

from vae2ch.data.world.curves import Event, gate, pitch_curve, upsample, wander
from vae2ch.data.world.engines import NOISE_HERTZ, harmonics, noise
from vae2ch.data.world.timbres import band, coloured, formants, random_resonances, random_timbre


def breath(event: Event, envelope: np.ndarray, sharpness: float) -> np.ndarray:
    """Noise around the first harmonics, and broad noise, with an envelope [N]; standard deviation about 1  [S]"""
    hertz = np.maximum(NOISE_HERTZ, 30)
    tuned = sum(band(hertz, event.pitch * k, sharpness) / k for k in (1, 2, 3))
    wave = noise(event, tuned + event.draw(0.02, 0.5) * coloured(event, -1, 0.2))
    return wave / max(float(wave.std()), 1e-9) * upsample(envelope, event.samples)


def flute(event: Event) -> np.ndarray:
    """Flutes, bottles, whistles, pan pipes: few harmonics, much breath, a chiff at the beginning."""
    envelope = gate(event, event.draw_log(0.01, 0.2))
    wave = harmonics(event, pitch_curve(event), random_timbre(event, (1.6, 3.5))) * upsample(envelope, event.samples)
    chiff = event.draw(0, 4) * np.exp(-event.time / event.draw_log(0.01, 0.08))
    tremble = np.exp(0.2 * wander(event, 20))
    air = breath(event, envelope * tremble * (1 + chiff), event.draw_log(0.02, 0.6))
    return wave + np.float32(event.draw_log(0.01, 0.7) * max(float(wave.std()), 1e-6)) * air


def reed(event: Event) -> np.ndarray:
    """Clarinets, saxophones, oboes, accordions: odd or all harmonics through resonances, little noise."""
    even, resonances = event.draw_log(0.03, 1), random_resonances(event, 3, 400, 4000)
    tilt = event.draw(0.6, 2.0)

    def timbre(time: np.ndarray, hertz: np.ndarray, number: np.ndarray) -> np.ndarray:
        soft = np.exp(-(number - 1) * 0.6 * np.exp(-time / 0.03))  # the upper harmonics speak later
        return number**-tilt * np.where(number % 2 == 1, 1, even) * (0.15 + formants(hertz, *resonances)) * soft

    envelope = gate(event, event.draw_log(0.01, 0.15))
    wave = harmonics(event, pitch_curve(event), timbre) * upsample(envelope, event.samples)
    air = breath(event, envelope, 1.0)
    return wave + np.float32(event.draw_log(0.001, 0.1) * max(float(wave.std()), 1e-6)) * air


def brass(event: Event) -> np.ndarray:
    """Trumpets to tubas: brightness follows loudness."""
    envelope = gate(event, event.draw_log(0.02, 0.3), event.draw_log(0.03, 0.3))
    loudness = envelope / envelope.max()
    dark, bright = event.draw(2, 4.5), event.draw(0.4, 1.4)
    times, centre, width = event.time, event.draw_log(600, 2500), event.draw(0.5, 1.2)

    def timbre(time: np.ndarray, hertz: np.ndarray, number: np.ndarray) -> np.ndarray:
        level = np.interp(time[:, 0], times, loudness)[:, None]
        tilt = dark + (bright - dark) * level * (0.4 + 0.6 * event.brightness)
        return number**-tilt * (0.2 + band(hertz, centre, width))

    wave = harmonics(event, pitch_curve(event), timbre)
    return wave * upsample(envelope, event.samples)
