"""Pauses of a sound: frames at its floor, whether that is digital silence, hiss, or an offset."""

import numpy as np

from vae2ch.data.cache import release

FRAME_SAMPLES = 256
BLOCK_FRAMES = 4096  # read at once, as a sound may be hours long
SILENCE_RATIO = 1e-3  # -60 dB relative to the peak of the sound; below is silence
FLOOR_RANGE = (5, 25)  # percentiles of the levels between which a floor is level
FLOOR_SPREAD = 2.0  # ratio of the levels at these percentiles; a sound that fades has a larger one
MAX_FLOOR = 0.03  # -30 dB relative to the loudest two frames; louder is part of the sound
FLOOR_MARGIN = 2.5  # ratio by which the noise of a floor may exceed its level
PARTS = 8  # of the frames at the floor, in the order of time
MAX_STEP = 0.04  # change of the level from part to part, as a logarithm; a long decay has a larger one throughout


def audible_frames(wave: np.ndarray) -> np.ndarray:
    """Whether each frame of ``wave`` [S] is louder than the floor of the sound; the loudest one always is  [frames]"""
    level = frame_levels(wave)
    return level > threshold(level)


def frame_levels(wave: np.ndarray) -> np.ndarray:
    """Half of the range of the samples in each frame, which an offset does not change  [frames]"""
    size = FRAME_SAMPLES * BLOCK_FRAMES
    levels = []
    for start in range(0, wave.size, size):
        block = np.asarray(wave[start : start + size])
        frames = np.pad(block, (0, -block.size % FRAME_SAMPLES), mode="edge").reshape(-1, FRAME_SAMPLES)
        levels.append((frames.max(axis=1) - frames.min(axis=1)) / 2)
        if start:  # a long sound need not stay in memory
            release(wave)
    return np.concatenate(levels)


def threshold(level: np.ndarray) -> float:
    """Level above which a frame is part of the sound: a pause is silent, or at a steady floor far below the sound."""
    silent = SILENCE_RATIO * float(level.max())
    sounding = level[level > silent]
    if sounding.size < 2:
        return silent
    low, high = np.percentile(sounding, FLOOR_RANGE)
    loud = float(np.minimum(level[:-1], level[1:]).max())  # of two frames, as a click makes no pause of a sound
    limit = FLOOR_MARGIN * float(high)
    is_floor = high < FLOOR_SPREAD * low and high < MAX_FLOOR * loud and is_steady(sounding[sounding <= limit])
    return limit if is_floor else silent


def is_steady(level: np.ndarray) -> bool:
    """Whether levels [frames] neither fall nor rise from part to part, unlike the end of a piano's note."""
    if level.size < PARTS:
        return False
    medians = [np.median(part) for part in np.array_split(level, PARTS)]
    return bool(abs(np.median(np.diff(np.log(medians)))) < MAX_STEP)
