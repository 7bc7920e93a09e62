"""Holes in a sound: stretches of zeros that begin and end abruptly, as an interrupted copy leaves them."""

from collections.abc import Iterable

import numpy as np

MIN_SAMPLES = 2048
MAX_HOLES = 3
ABRUPT = 0.02  # relative to the peak: samples on both sides of a hole are larger
NEIGHBOURS = 4  # samples on each side; the first one may be cut in two


def hole_samples(blocks: Iterable[np.ndarray], peak: float) -> int:
    """Number of samples in holes; ``blocks`` are mono samples [S], whose largest absolute value is ``peak``.

    It is 0 if there are many: a sound that is gated, as Morse code, has such stretches too.
    """
    found, position = [], 0
    places, values = np.zeros(0, np.int64), np.zeros(0, np.float32)  # the last samples that are not zero
    for block in blocks:
        nonzero = np.flatnonzero(block)
        kept = min(NEIGHBOURS, places.size)
        places = np.concatenate([places[-NEIGHBOURS:], position + nonzero])
        values = np.concatenate([values[-NEIGHBOURS:], np.abs(block[nonzero])])
        position += block.size
        for before in np.flatnonzero(np.diff(places) > MIN_SAMPLES):
            if before + 1 < kept:
                continue  # counted with the block before
            loud_before = values[max(0, before + 1 - NEIGHBOURS) : before + 1].max() > ABRUPT * peak
            loud_after = values[before + 1 : before + 1 + NEIGHBOURS].max() > ABRUPT * peak
            if loud_before and loud_after:
                found.append(int(places[before + 1] - places[before] - 1))
    return sum(found) if len(found) <= MAX_HOLES else 0
