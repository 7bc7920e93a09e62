"""Conditions of a recording: rooms, equalisers, saturation, noise floors, narrow bands, levels."""

from functools import lru_cache

import numpy as np

from vae2ch.data.world.curves import RATE, Event, normalised, upsample, wander
from vae2ch.data.world.engines import HOP, NOISE_HERTZ, noise, noise_frames
from vae2ch.data.world.timbres import coloured

ROOMS = 96  # of a world; each is computed once
SIZES = (98304, 131072, 196608)  # lengths of the transform: without a room, with a small one, with a large one


@lru_cache(maxsize=ROOMS)
def room(seed: int, number: int) -> np.ndarray:
    """Spectrum of a room's response without the direct sound: early reflections, decaying noise  [F], complex64"""
    random = np.random.default_rng([seed, 2**32, number])
    large = number % 3 == 0
    size = SIZES[2 if large else 1]
    samples = size - SIZES[0]
    event = Event(random, samples, 100.0, 1.0, 0.5)
    seconds = event.draw_log(0.7, 3.5) if large else event.draw_log(0.08, 0.8)
    absorbed = event.draw_log(1500, 12000)  # Hz, above which a room decays faster
    decay = np.log(1000) / seconds * (1 + (NOISE_HERTZ / absorbed) ** event.draw(0.7, 1.5))
    decay = decay * (1 + event.draw(0, 2) * np.exp(-NOISE_HERTZ / 150))
    time = np.arange(noise_frames(event))[:, None] * (HOP / RATE)
    tail = noise(event, np.exp(-time * decay) * coloured(event, -0.5, 0.1))
    tail *= np.linspace(1, 0, samples, dtype=np.float32) ** 0.5
    response = np.zeros(size, np.float32)
    delay = int(event.draw_log(0.002, 0.08 if large else 0.02) * RATE)
    response[delay:samples] = tail[: samples - delay]
    places = (delay * np.exp(random.exponential(0.6, 18))).astype(int)
    gains = random.choice([-1, 1], 18) * np.exp(random.normal(0, 0.5, 18)) * (delay / np.maximum(places, 1))
    np.add.at(response, np.minimum(places, samples - 1), gains * event.draw(0, 6) * np.abs(tail).mean())
    response /= np.sqrt(np.sum(response**2))
    return spectrum_of(response, size)


def equaliser(event: Event, hertz: np.ndarray) -> np.ndarray:
    """Causal response of a chain of simple filters, as of a preamplifier, a loudspeaker or an old medium  [F]"""
    s = (1j * hertz).astype(np.complex64)
    response = np.ones(hertz.size, np.complex64)
    # a high-pass, which also removes the offset of an asymmetrical saturation
    response *= s / (s + np.float32(event.draw_log(15, 300) if event.chance(0.4) else event.draw_log(5, 15)))
    if event.chance(0.35):  # a shelf
        corner, gain = event.draw_log(150, 6000), 10 ** event.draw(-0.8, 0.6)
        response *= (np.float32(gain) * s + np.float32(corner)) / (s + np.float32(corner))
    for _ in range(int(event.random.integers(0, 3))):  # peaks and dips
        centre, width, gain = event.draw_log(100, 9000), event.draw_log(0.1, 1.5), 10 ** event.draw(-0.7, 0.6)
        ratio = s / np.float32(centre)
        square = ratio * ratio + 1
        response *= (square + np.float32(width * gain) * ratio) / (square + np.float32(width) * ratio)
    if event.chance(0.2):  # a narrow band, as of old recordings and low rates
        ratio = s / np.float32(event.draw_log(2500, 11000))
        second = ratio * ratio + np.float32(1.0) * ratio + 1
        response /= second * second if event.chance(0.5) else second
    return response


def placed(event: Event, wave: np.ndarray, seed: int) -> np.ndarray:
    """The wave [S] through an equaliser and, at times, in a room."""
    in_room = event.chance(0.4)
    number = int(event.random.integers(ROOMS))
    wet = event.draw_log(0.03, 1.5)
    size = SIZES[0] if not in_room else SIZES[2 if number % 3 == 0 else 1]
    hertz = np.fft.rfftfreq(size, 1 / RATE).astype(np.float32)
    response = equaliser(event, hertz)
    if in_room:
        response *= 1 + np.float32(wet) * room(seed, number)
    return np.fft.irfft(spectrum_of(wave, size) * response, size)[: wave.size].astype(np.float32)


def spectrum_of(wave: np.ndarray, size: int) -> np.ndarray:
    """Fourier transform of a wave, padded to ``size`` samples  [F], complex64"""
    # numpy computes this normalisation in float32, and the default one in float64, in three times the time
    return np.fft.rfft(wave, size, norm="forward") * np.float32(size)


def saturated(event: Event, wave: np.ndarray) -> np.ndarray:
    """The wave [S], driven into a soft limit, at times an asymmetrical one."""
    drive, offset = np.float32(event.draw_log(0.5, 12)), np.float32(event.draw(0, 0.4) * event.chance(0.4))
    return np.tanh(drive * wave + offset) - np.tanh(offset)


def modulated(event: Event, wave: np.ndarray) -> np.ndarray:
    """The wave [S] with a tremolo, a slow gate or unsteady loudness."""
    rate, depth = event.draw_log(0.8, 25), event.draw(0.1, 1)
    curve = 0.5 + 0.5 * np.sin(2 * np.pi * (rate * event.time + event.draw(0, 1)))
    shape = curve if event.chance(0.6) else 1 / (1 + np.exp(-30 * (curve - 0.5)))
    if event.chance(0.2):
        shape = np.exp(-np.abs(wander(event, rate)))
    return wave * upsample(1 - depth * shape, wave.size)


def roughened(event: Event, wave: np.ndarray) -> np.ndarray:
    """The wave [S] with noise that follows its loudness, as friction, air and lossy media add."""
    blocks = wave[: wave.size // HOP * HOP].reshape(-1, HOP)
    level = np.append(np.sqrt(np.mean(blocks**2, axis=1)), [0, 0])[: noise_frames(event)]
    return wave + np.float32(10 ** (event.draw(-60, -12) / 20)) * noise(
        event, level[:, None] * coloured(event, -0.8, 0.6)
    )


def floor(event: Event, wave: np.ndarray) -> np.ndarray:
    """The wave [S] over the noise of its recording, and at times the hum of the mains."""
    level = np.float32(10 ** (event.draw(-90, -46) / 20))
    hiss = noise(event, coloured(event, -1, 0.3))
    wave = wave + level * hiss
    if event.chance(0.2):
        mains = event.random.choice([50, 60]) * event.draw(0.999, 1.001)
        cycles = (np.arange(wave.size) * (mains / RATE)) % 1
        for number in (1, 2, 3, 5):
            wave += (
                level * np.float32(event.draw(0, 3) / number) * np.sin(2 * np.pi * number * cycles).astype(np.float32)
            )
    return wave


def recorded(event: Event, wave: np.ndarray, seed: int) -> np.ndarray:
    """Recording of a wave [S]: at random roughened, modulated, saturated, in a room, over a noise floor; peak <= 1."""
    wave = normalised(wave)
    if event.chance(0.3):
        wave = roughened(event, wave)
    if event.chance(0.06):
        wave = modulated(event, wave)
    if event.chance(0.12):
        wave = normalised(saturated(event, wave))
    wave = normalised(placed(event, wave, seed))
    if event.chance(0.3):
        wave = normalised(floor(event, wave))
    return wave * np.float32(event.draw_log(0.08, 0.98))
