"""Three ways to compute sound: harmonics from tables, modes from a matrix product, noise from short spectra."""

from collections.abc import Callable

import numpy as np

from vae2ch.data.world.curves import BLOCK, RATE, Event, upsample

FRAMES = 40  # spectra from the beginning to the end of an event, closer together at its beginning
MODE_BLOCK = 256  # samples
WINDOW = 1024  # samples of a spectrum of noise
HOP = WINDOW // 2
NOISE_HERTZ = np.fft.rfftfreq(WINDOW, 1 / RATE)  # frequencies of the bins of a spectrum of noise
HIGHEST = 0.46 * RATE  # of a partial, in Hz
# amplitudes [M, P] at times [M, 1] in s of the harmonics with frequencies [M, P] in Hz and numbers [P]
Timbre = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def cycles_of(frequency: np.ndarray, samples: int, start: float = 0.0) -> np.ndarray:
    """Phase in [0, 1) of an oscillator with a curve of frequencies [N] in Hz, as float32  [S]"""
    cycles = start + np.cumsum(upsample(frequency, samples), dtype=np.float64) / RATE
    return (cycles - np.floor(cycles)).astype(np.float32)


def sine(cycles: np.ndarray) -> np.ndarray:
    """Sine of a phase in cycles."""
    return np.sin(np.float32(2 * np.pi) * cycles)


def harmonics(event: Event, frequency: np.ndarray, timbre: Timbre, detunings: tuple[float, ...] = (1.0,)) -> np.ndarray:
    """Harmonics of a curve of frequencies [N] in Hz, with amplitudes that change in time and random phases  [S]

    Each of the ``detunings`` is one of several oscillators in unison. Period tables of the spectra are interpolated.
    """
    random, samples = event.random, event.samples
    seconds = event.time[-1]
    time = seconds * (np.arange(FRAMES) / (FRAMES - 1)) ** 2
    pitch = np.interp(time, event.time, frequency)
    count = int(np.clip(HIGHEST / (frequency.max() * max(detunings)), 1, 900))
    number = np.arange(1, count + 1)
    amplitude = timbre(time[:, None], pitch[:, None] * number, number)
    size = 1024 if count < 50 else 4096 if count < 300 else 8192
    spectra = np.zeros((FRAMES, size // 2 + 1), np.complex64)
    spectra[:, 1 : count + 1] = size * amplitude * np.exp(2j * np.pi * random.random(count))
    tables = np.fft.irfft(spectra, size, axis=1).astype(np.float32)
    tables = np.concatenate([tables, tables[:, :1]], axis=1).ravel()
    place = upsample(np.sqrt(event.time / seconds) * (FRAMES - 1), samples)
    frame = np.minimum(place.astype(np.int64), FRAMES - 2)
    weight = place - frame.astype(np.float32)
    wave = np.zeros(samples, np.float32)
    for detuning in detunings:
        start = 0.0 if len(detunings) == 1 else random.random()
        position = cycles_of(frequency * detuning, samples, start) * np.float32(size)
        index = np.minimum(position.astype(np.int64), size - 1)
        between = position - index.astype(np.float32)
        index += frame * (size + 1)
        first = tables.take(index) * (1 - between) + tables.take(index + 1) * between
        index += size + 1
        second = tables.take(index) * (1 - between) + tables.take(index + 1) * between
        wave += first + weight * (second - first)
    return wave


def modes(event: Event, hertz: np.ndarray, amplitude: np.ndarray, seconds: np.ndarray | float) -> np.ndarray:
    """Sum of sines with random phases that decay by 60 dB in ``seconds`` each: [P], [P], [P] -> [S]"""
    hertz, amplitude, seconds = np.broadcast_arrays(hertz, amplitude, np.maximum(seconds, 1e-3))
    audible = (hertz < HIGHEST) & (hertz > 10)
    hertz, amplitude, decay = hertz[audible], amplitude[audible], np.log(1000) / seconds[audible]
    if not hertz.size:
        return np.zeros(event.samples, np.float32)
    blocks = -(-event.samples // MODE_BLOCK)
    starts = np.arange(blocks)[:, None] * (MODE_BLOCK / RATE)
    cycles = event.random.random(hertz.size) + starts * hertz
    angle = (2 * np.pi * (cycles - np.floor(cycles))).astype(np.float32)
    level = amplitude * np.exp(-starts * decay)
    left = np.concatenate([level * np.sin(angle), level * np.cos(angle)], axis=1).astype(np.float32)  # [B, 2P]
    steps = np.arange(MODE_BLOCK) / RATE
    angle = (2 * np.pi * hertz[:, None] * steps).astype(np.float32)
    level = np.exp(-decay[:, None] * steps)
    right = np.concatenate([level * np.cos(angle), level * np.sin(angle)]).astype(np.float32)  # [2P, K]
    return (left @ right).ravel()[: event.samples]


def noise(event: Event, magnitude: np.ndarray) -> np.ndarray:
    """Gaussian noise with the spectra [M, F], one every ``HOP`` samples, or a constant one [F], at ``NOISE_HERTZ``  [S]

    White noise of magnitude 1 has a standard deviation of 1.
    """
    frames = noise_frames(event)
    normal = event.random.standard_normal((frames, WINDOW // 2 + 1, 2), dtype=np.float32)
    spectra = normal.view(np.complex64)[..., 0] * magnitude.astype(np.float32)
    parts = np.fft.irfft(spectra, WINDOW, axis=1)
    parts *= np.sin(np.pi * (np.arange(WINDOW, dtype=np.float32) + 0.5) / WINDOW) * np.float32(np.sqrt(WINDOW / 2))
    wave = np.zeros((frames + 1) * HOP, np.float32)
    wave[:-HOP] += parts[:, :HOP].ravel()
    wave[HOP:] += parts[:, HOP:].ravel()
    return wave[HOP : HOP + event.samples]


def noise_frames(event: Event) -> int:
    """Number of spectra that the noise of an event is made of."""
    return -(-event.samples // HOP) + 1


def at_noise_frames(event: Event, curve: np.ndarray) -> np.ndarray:
    """A curve [N] at the middle of each frame of noise, as a column  [M, 1]"""
    points = np.arange(noise_frames(event)) * (HOP // BLOCK)
    return curve[np.minimum(points, curve.size - 1)][:, None]
