"""A sound file as mono samples: decoded once to measure it, then again, or from memory, in blocks."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae2ch.audio import content
from vae2ch.audio.attempt import MISSING_SECONDS, Attempt, best_attempt, distinct, false_length
from vae2ch.audio.errors import DecodingError, UnreadableError
from vae2ch.audio.header import Header
from vae2ch.audio.holes import hole_bytes, hole_samples
from vae2ch.audio.inspection import inspect
from vae2ch.audio.mixing import Statistics, is_constant, measure
from vae2ch.audio.resampling import resample_blocks

SAMPLE_RATES_HZ = (1_000, 1_000_000)
MAX_PEAK = 100.0  # 40 dB re full scale; a file with a larger peak is refused
HEAD_BUFFER = 4096  # bytes, enough for most headers
MAX_DELAY = 4000  # samples of an encoder's delay and padding, which packets hold and decoders remove
ROUNDING_STEPS = 2  # a range of so many quantisation steps is quantisation noise


@dataclass
class Recording:
    """Mono samples of a file at its own rate, without a DC offset."""

    rate: int  # Hz
    samples: int
    peak: float  # largest absolute sample
    remark: str  # what is unusual about the file, or ""
    is_result: bool  # written by this program
    silence: str  # why it holds no sound, or ""
    step: float  # of the quantisation of its samples, 0 if not known
    blocks: Callable[[], Iterator[np.ndarray]]  # float32 [S]; to be called any number of times

    def resampled(self, rate: int) -> Iterator[np.ndarray]:
        """Blocks [S] at a rate in Hz."""
        return resample_blocks(self.blocks(), self.rate, rate)


def open_recording(path: Path) -> Recording:
    """Decode a file in one pass and measure it; its memory does not depend on its length.

    Channels are averaged, or the loudest one is taken if they cancel. A damaged file is decoded as far as it can be.
    Raises ``DecodingError``, with the reason, if it has no usable sound, and ``UnreadableError`` at an error of the
    system.
    """
    try:
        check_regular_file(path)
        with path.open("rb", buffering=HEAD_BUFFER) as file:
            head = file.read(content.HEAD_BYTES)
            header = inspect(file, head)
        # samples that are not finite are refused after the first pass, through which they go without a warning
        with np.errstate(over="ignore", invalid="ignore"):
            return recording(best_attempt(path, header, head), header, path)
    except (OSError, MemoryError) as error:
        raise UnreadableError.of(error) from None


def recording(attempt: Attempt, header: Header, path: Path) -> Recording:
    """The recording of an attempt. Raises ``DecodingError`` if its samples cannot be used."""
    decoder, statistics = attempt.decoder, attempt.statistics
    assert decoder is not None
    if not SAMPLE_RATES_HZ[0] <= decoder.rate <= SAMPLE_RATES_HZ[1]:
        raise DecodingError("claims a sample rate of {} Hz; {} to {} are read".format(decoder.rate, *SAMPLE_RATES_HZ))
    check_samples(max(statistics.high, -statistics.low), statistics.total)
    remarks = [*header.remarks, *length_remarks(attempt, header)]
    channel = statistics.loudest_channel()
    if channel is not None:
        remarks.append(f"its channels cancel each other: channel {channel + 1} is used instead of their mean")
        statistics = measure(attempt.again(channel))
        check_samples(max(statistics.high, -statistics.low), statistics.total)
    scale = scale_of(header, statistics)
    offset = offset_of(statistics, decoder.bits, lambda: attempt.again(channel))
    peak = scale * max(statistics.high - offset, offset - statistics.low)
    if offset:
        remarks.append(f"a DC offset of {scale * offset:.2g} is removed")

    def blocks() -> Iterator[np.ndarray]:
        for mono in attempt.again(channel):
            yield mono if scale == 1 and offset == 0 else np.float32(scale) * (mono - np.float32(offset))

    remarks += hole_remarks(attempt, path, peak / scale)
    silence = reason_for_silence(scale * statistics.low, scale * statistics.high, decoder.bits)
    step = scale * 2.0 ** (1 - decoder.bits) if decoder.bits else 0.0
    remark = "; ".join(remarks)
    return Recording(decoder.rate, statistics.samples, peak, remark, header.is_result, silence, step, blocks)


def length_remarks(attempt: Attempt, header: Header) -> Iterator[str]:
    """What is unusual about the length of a file, or missing in it."""
    assert attempt.decoder is not None
    found, rate = attempt.seconds, attempt.decoder.rate
    claimed = (header.samples / rate or attempt.claimed_seconds) if header.has_length else 0.0
    if attempt.packet_seconds > found + MISSING_SECONDS + MAX_DELAY / rate:
        claimed = max(claimed, attempt.packet_seconds)
    if attempt.remark:
        yield attempt.remark
    elif claimed > found + attempt.slack:
        yield "damaged or cut short: {} of {} s".format(*distinct(found, claimed))
    elif attempt.error or attempt.decoder.damaged:
        yield f"damaged: the {found:.1f} s that decode are used"
    elif header.samples and found > claimed:
        yield false_length(claimed, found)


def hole_remarks(attempt: Attempt, path: Path, peak: float) -> Iterator[str]:
    """Holes in a sound, or in the bytes of a file that is not PCM and decodes as if it were whole."""
    decoder = attempt.decoder
    assert decoder is not None
    if attempt.statistics.may_have_hole and (missing := hole_samples(attempt.channels(), peak)):
        yield f"holes, in which samples stay at one value: {missing / decoder.rate:.2f} s in all"
    elif not (decoder.bits or decoder.damaged or attempt.error) and (missing := hole_bytes(path)):
        yield f"holes, in which bytes are all 0 or all 255: {missing} bytes in all"


def offset_of(statistics: Statistics, bits: int, blocks: Callable[[], Iterator[np.ndarray]]) -> float:
    """Constant offset of a sound; ``blocks`` returns its mono samples [S], which are read if there may be one."""
    offset = statistics.offset(smallest=2.0 ** (1 - bits) if bits else 0.0)
    return offset if offset and is_constant(blocks(), offset) else 0.0


def scale_of(header: Header, statistics: Statistics) -> float:
    """Factor of samples that lie in the lower bits of their containers, else 1."""
    highest = 2.0**-header.shift
    return 2.0**header.shift if header.shift and max(statistics.high, -statistics.low) <= highest else 1.0


def check_samples(peak: float, total: float) -> None:
    """Raise ``DecodingError`` if samples with this sum are far above full scale, or not finite."""
    if MAX_PEAK < peak < np.inf:
        raise DecodingError(f"has a peak of {peak:.3g}, where full scale is 1; export it with a lower level")
    if not np.isfinite(peak + total):  # a comparison would pass over NaN
        raise DecodingError("has samples that are NaN or infinite; export it again")


def reason_for_silence(low: float, high: float, bits: int) -> str:
    """Why samples of this range, in a format with so many bits, are no sound; "" if they are."""
    if low == high:
        return f"holds no sound, only a constant of {low:.2g}" if low else "silent"
    if bits and (high - low) * 2 ** (bits - 1) <= ROUNDING_STEPS:
        return f"holds no sound, only quantisation noise of {bits} bits"
    return ""


def decode(path: Path) -> tuple[np.ndarray, int, str]:
    """Mono float32 samples [S], sample rate in Hz, and a remark ("" if nothing is unusual); raises as above."""
    found = open_recording(path)
    return joined(found.blocks()), found.rate, found.remark


def load(path: Path, sample_rate: int) -> np.ndarray:
    """Mono float32 samples [S] of a file at ``sample_rate`` Hz. Raises ``DecodingError``."""
    return joined(open_recording(path).resampled(sample_rate))


def joined(blocks: Iterator[np.ndarray]) -> np.ndarray:
    """Samples of all blocks  [S]"""
    return np.concatenate(list(blocks))


def check_regular_file(path: Path) -> None:
    """Raise ``DecodingError`` if a file is empty or not regular."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DecodingError("not a regular file")
    if status.st_size == 0:
        raise DecodingError("empty (0 bytes)")
