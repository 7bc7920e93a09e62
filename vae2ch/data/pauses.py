"""Pauses of a sound: frames at its floor, whether that is digital silence, hiss, or an offset."""

import numpy as np

from vae2ch.data.cache import release

FRAME_SAMPLES = 256  # or a multiple, for longer segments: 11 to 16 ms
SEGMENT_FRAMES = 128
BLOCK_FRAMES = 4096  # read at once, as a sound may be hours long
SILENCE_RATIO = 1e-3  # -60 dB relative to the peak of the sound; below is silence
FLOOR_RANGE = (3, 12)  # percentiles of the levels between which a floor is level
FLOOR_SPREAD = 2.0  # ratio of the levels at these percentiles; a sound that fades has a larger one
ROUNDING_STEPS = 1.5  # level of quantisation noise with dither, in steps of quantisation, after resampling
MAX_ROUNDING = 0.25  # relative to the loudest two frames, as MAX_FLOOR
FLOOR_MARGIN = 2.5  # ratio by which the noise of a floor may exceed its level
PARTS = 8  # of the frames at the floor, in the order of time
MAX_STEP = 0.04  # change of the level from part to part, as a logarithm; a long decay has a larger one throughout
MAX_FLOOR = 0.03  # -30 dB relative to the loudest two frames; louder is part of the sound
WINDOW_FRAMES = 8  # of which spectra are computed
MIN_WINDOWS, MAX_WINDOWS = 4, 64
BAND_BINS = 16  # of the bands in a spectrum; hum is in the lowest one
SPREAD = (10, 90)  # percentiles of the energy of a band over time
MAX_SPREAD = 2.0  # between these, as a logarithm (9 dB); music has a larger one, however soft it is
MIN_FLATNESS = 0.5  # geometric by arithmetic mean of the energy in a band; noise has over 0.7, tones have under 0.2


def frame_size(length: int) -> int:
    """Number of samples in a frame, for segments of ``length`` samples."""
    return FRAME_SAMPLES * max(1, round(length / SEGMENT_FRAMES / FRAME_SAMPLES))


def audible_frames(wave: np.ndarray, frame: int = FRAME_SAMPLES, step: float = 0.0) -> np.ndarray:
    """Whether each frame of ``wave`` [S] is louder than the floors of the sound; the loudest one always is  [frames]

    ``step`` is that of the samples' quantisation, 0 if it is not known.
    """
    level = frame_levels(wave, frame)
    audible = level > SILENCE_RATIO * level.max()
    loud = np.minimum(level[:-1], level[1:]).max(initial=0.0)  # of two frames, as a click makes no pause of a sound
    largest = max(MAX_FLOOR * loud, min(ROUNDING_STEPS * step, MAX_ROUNDING * loud))
    frames = wave[: wave.size // frame * frame].reshape(-1, frame)
    while limit := floor_limit(frames, level, audible, largest):
        audible &= level > limit
    return audible


def frame_levels(wave: np.ndarray, frame: int) -> np.ndarray:
    """Half of the range of the samples in each frame, which an offset does not change  [frames]"""
    size = frame * BLOCK_FRAMES
    levels = []
    for start in range(0, wave.size, size):
        block = np.asarray(wave[start : start + size])
        frames = np.pad(block, (0, -block.size % frame), mode="edge").reshape(-1, frame)
        levels.append((frames.max(axis=1) - frames.min(axis=1)) / 2)
        if start:  # a long sound need not stay in memory
            release(wave)
    return np.concatenate(levels)


def floor_limit(frames: np.ndarray, level: np.ndarray, audible: np.ndarray, largest: float) -> float:
    """Level up to which ``audible`` frames are at a floor of the sound; 0 if it has none.

    A floor is noise or hum below the ``largest`` level, whose level and spectrum do not change. ``frames`` [N, S] are
    those that are not padded, ``level`` is that of all frames.
    """
    sounding = level[audible]
    if sounding.size < PARTS:
        return 0.0
    low, high = np.percentile(sounding, FLOOR_RANGE)
    limit = FLOOR_MARGIN * float(high)
    quiet = level <= limit
    if high >= min(largest, FLOOR_SPREAD * low) or not is_steady(level[audible & quiet]):
        return 0.0
    windows = quiet_windows(frames, quiet, audible)
    return limit if len(windows) >= MIN_WINDOWS and is_noise(windows) else 0.0


def is_steady(level: np.ndarray) -> bool:
    """Whether levels [frames] neither fall nor rise from part to part, unlike the end of a piano's note."""
    if level.size < PARTS:
        return False
    medians = [np.median(part) for part in np.array_split(level, PARTS)]
    return bool(abs(np.median(np.diff(np.log(medians)))) < MAX_STEP)


def quiet_windows(frames: np.ndarray, quiet: np.ndarray, audible: np.ndarray) -> np.ndarray:
    """Some of the windows of ``quiet`` frames that begin with one that is audible, without their offsets  [W, S]"""
    whole = np.convolve(quiet[: len(frames)], np.ones(WINDOW_FRAMES), "valid") == WINDOW_FRAMES
    first = np.flatnonzero(whole & audible[: whole.size])
    chosen = first[np.linspace(0, max(0, first.size - 1), min(first.size, MAX_WINDOWS)).astype(int)]
    windows = frames[chosen[:, None] + np.arange(WINDOW_FRAMES)].reshape(chosen.size, WINDOW_FRAMES * frames.shape[1])
    return windows - windows.mean(axis=1, keepdims=True)


def is_noise(windows: np.ndarray) -> bool:
    """Whether windows [W, S] have the same spectrum, and no tones but in the lowest band."""
    spectra = np.fft.rfft(windows * np.hanning(windows.shape[1]))[:, :-1]
    energy = (np.abs(spectra) ** 2 + np.finfo(np.float64).tiny).reshape(len(windows), -1, BAND_BINS)
    bands = energy.mean(axis=2)
    weights = bands.mean(axis=0)
    low, high = np.percentile(np.log(bands), SPREAD, axis=0)
    usual = np.median(energy, axis=0)
    flatness = np.exp(np.log(usual).mean(axis=1)) / usual.mean(axis=1)
    flatness[0] = 1
    is_flat = np.average(flatness, weights=weights) > MIN_FLATNESS
    return bool(is_flat and np.average(high - low, weights=weights) < MAX_SPREAD)
