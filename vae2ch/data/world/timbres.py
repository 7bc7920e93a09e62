"""Spectral shapes: tilts, resonances, formants and filters, as amplitudes over frequencies in Hz."""

import numpy as np

from vae2ch.data.world.curves import Event
from vae2ch.data.world.engines import NOISE_HERTZ, Timbre


def band(hertz: np.ndarray, centre: np.ndarray | float, octaves: np.ndarray | float) -> np.ndarray:
    """Bell over log frequency around a centre in Hz, with a standard deviation in octaves; same shape."""
    return np.exp(-0.5 * (np.log2(np.maximum(hertz, 1.0) / centre) / octaves) ** 2)


def low_pass(hertz: np.ndarray, cutoff: np.ndarray | float, order: float, resonance: float = 0.0) -> np.ndarray:
    """Amplitude of a low-pass of a slope of 6 dB per octave and ``order``, with a peak at the cutoff; same shape."""
    ratio = hertz / cutoff
    return (1 + ratio**4) ** (-order / 4) * (1 + resonance / (1 + ((ratio - 1) / 0.12) ** 2))


def high_pass(hertz: np.ndarray, cutoff: np.ndarray | float, order: float) -> np.ndarray:
    """Amplitude of a high-pass; same shape."""
    return (1 + (cutoff / np.maximum(hertz, 1.0)) ** 4) ** (-order / 4)


def formants(hertz: np.ndarray, centres: np.ndarray, widths: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Sum of resonances in Hz, [..., F] for centres [..., R], widths [R] and gains [R]."""
    hertz = hertz.astype(np.float32)
    found = np.zeros(np.broadcast_shapes(hertz.shape, (*centres.shape[:-1], 1)), np.float32)
    for number in range(len(gains)):
        distance = (hertz - centres[..., number, None].astype(np.float32)) * np.float32(1 / widths[number])
        found += np.float32(gains[number]) / (1 + distance * distance)
    return found


def random_resonances(event: Event, count: int, low: float = 150, high: float = 7000) -> tuple[np.ndarray, ...]:
    """Centres, widths and gains of resonances, as of a body or a tube  [R] each"""
    centres = np.sort(np.exp(event.random.uniform(np.log(low), np.log(high), count)))
    return centres, centres * event.random.uniform(0.05, 0.35, count), 10 ** event.random.uniform(-0.8, 0.6, count)


def random_timbre(event: Event, tilt: tuple[float, float] = (0.6, 2.6)) -> Timbre:
    """A spectrum of harmonics drawn wide: tilt, odd or even, comb, resonances, unevenness, a moving filter."""
    random = event.random
    steepness = tilt[1] + (tilt[0] - tilt[1]) * np.clip(event.brightness + event.draw(-0.25, 0.25), 0, 1)
    even = event.draw_log(0.02, 1) if event.chance(0.3) else 1.0
    comb = event.draw(0.05, 0.5) if event.chance(0.35) else None
    body = random_resonances(event, int(random.integers(1, 6))) if event.chance(0.6) else None
    unevenness = np.exp(random.normal(0, event.draw(0, 0.9), 900))
    filtered = moving_filter(event) if event.chance(0.5) else None
    damping = event.draw_log(0.02, 3) if event.chance(0.5) else 0.0

    def timbre(time: np.ndarray, hertz: np.ndarray, number: np.ndarray) -> np.ndarray:
        amplitude = number**-steepness * np.where(number % 2 == 0, even, 1.0) * unevenness[: number.size]
        if comb is not None:
            amplitude = amplitude * (0.03 + np.abs(np.sin(np.pi * number * comb)))
        if body is not None:
            amplitude = amplitude * (0.2 + formants(hertz[0], *body))  # a body does not move
        amplitude = amplitude * np.exp(-time * damping * (number - 1) ** 0.8)
        return amplitude if filtered is None else amplitude * filtered(time, hertz, number)

    return timbre


def moving_filter(event: Event) -> Timbre:
    """A low-pass whose cutoff follows an envelope, and at times an oscillation."""
    cutoff = np.clip(event.pitch * event.draw_log(1, 20), 120, 16000)
    octaves, seconds = event.draw(-2, 4), event.draw_log(0.02, 1.2)
    order, resonance = event.draw(1, 4), event.draw_log(0.5, 12) if event.chance(0.5) else 0.0
    depth = event.draw(0.1, 1.5) if event.chance(0.25) else 0.0
    rate, phase = event.draw_log(0.3, 9), event.draw(0, 6.3)

    def response(time: np.ndarray, hertz: np.ndarray, number: np.ndarray) -> np.ndarray:
        moved = octaves * np.exp(-time / seconds) + depth * np.sin(2 * np.pi * rate * time + phase)
        return low_pass(hertz, cutoff * 2**moved, order, resonance)

    return response


def coloured(event: Event, low: float = -1.2, high: float = 0.6) -> np.ndarray:
    """Random spectrum of noise: a slope in powers of frequency, and some resonances  [F]"""
    magnitude = (np.maximum(NOISE_HERTZ, 40) / 1000) ** event.draw(low, high)
    if event.chance(0.5):
        magnitude = magnitude * (
            0.1 + formants(NOISE_HERTZ, *random_resonances(event, int(event.random.integers(1, 5))))
        )
    if event.chance(0.4):
        magnitude = magnitude * low_pass(NOISE_HERTZ, event.draw_log(300, 15000), event.draw(1, 6))
    if event.chance(0.4):
        magnitude = magnitude * high_pass(NOISE_HERTZ, event.draw_log(60, 4000), event.draw(1, 6))
    return magnitude / np.sqrt(np.mean(magnitude**2))
