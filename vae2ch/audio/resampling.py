"""Sample rate conversion by soxr, high quality."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr


def resample(wave: np.ndarray, rate: float, target: float) -> np.ndarray:
    """Resample ``wave`` [S] from ``rate`` to ``target`` Hz, to at least one sample."""
    if rate == target:
        return wave
    resampled = soxr.resample(wave, rate, target)
    return resampled if resampled.size else wave[:1]


def resample_blocks(blocks: Iterable[np.ndarray], rate: float, target: float) -> Iterator[np.ndarray]:
    """Blocks of the samples that ``resample`` returns for the concatenated ``blocks`` [S], of which one is not empty.

    Their memory does not depend on the length of the sound.
    """
    if rate == target:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, target, num_channels=1, dtype="float32")
    first, count = np.zeros(0, np.float32), 0
    for block, last in with_last(blocks):
        first = first if first.size else block[:1]
        resampled = stream.resample_chunk(block, last)
        count += resampled.size
        yield resampled if count or not last else first


def with_last(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """Blocks, each with whether it is the last one."""
    iterator = iter(blocks)
    block = next(iterator, None)
    while block is not None:
        following = next(iterator, None)
        yield block, following is None
        block = following
