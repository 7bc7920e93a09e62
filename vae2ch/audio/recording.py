"""A sound file as mono samples: decoded once to measure it, then again, or from memory, in blocks."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from vae2ch.audio import content, headers
from vae2ch.audio.errors import DecodingError, UnreadableError
from vae2ch.audio.holes import hole_samples
from vae2ch.audio.libsndfile import LibsndfileDecoder
from vae2ch.audio.mixing import Statistics, is_constant, measure, mix
from vae2ch.audio.resampling import resample_blocks

SAMPLE_RATES_HZ = (1_000, 1_000_000)
MAX_PEAK = 100.0  # 40 dB re full scale; a file with a larger peak is refused
MAX_KEPT_VALUES = 1 << 23  # decoded samples kept for the second pass (32 MB)
HEAD_BUFFER = 4096  # bytes, enough for most headers
MISSING_SECONDS = 0.1  # a smaller difference of lengths may come from an encoder's delay
MAX_DELAY = 4000  # samples of an encoder's delay and padding, which packets hold and decoders remove
EXACT_SECONDS = 0.005  # where the length is that of the samples
ROUNDING_STEPS = 2  # a range of so many quantisation steps is noise of rounding
CONVERT = "copy it again, or convert it to WAV or FLAC, for example with Audacity or ffmpeg"
STREAMED_FORMATS = ("MP3", "OGG")  # whose length libsndfile estimates, or takes from the first of several parts


class Decoder(Protocol):
    """One pass over a file."""

    rate: int  # Hz
    claimed: int  # samples per channel that the file says it has; 0 if it does not say
    bits: int  # of samples quantised to integers, else 0
    damaged: bool  # whether something was skipped, known at the end

    def blocks(self) -> Iterator[np.ndarray]:
        """Float32 samples [S, C], in blocks. Raises ``DecodingError`` at damage."""


@dataclass
class Attempt:
    """What one decoder makes of a file."""

    make: Callable[[], Decoder]
    error: str = ""
    claimed_seconds: float = 0.0  # that the file says it has; 0 if it does not say
    slack: float = MISSING_SECONDS  # of what it says
    packet_seconds: float = 0.0  # of all packets in a stream, if they were counted
    remark: str = ""  # on the length that was claimed
    kept: list[tuple[np.ndarray, np.ndarray]] | None = field(default_factory=list)  # with the mean; None: too long
    statistics: Statistics = field(default_factory=Statistics)
    decoder: Decoder | None = None

    def run(self) -> "Attempt":
        """Decode and measure the file."""
        try:
            self.decoder = decoder = self.make()
            self.claimed_seconds = decoder.claimed / decoder.rate
            if isinstance(decoder, LibsndfileDecoder) and decoder.format not in STREAMED_FORMATS:
                self.slack = EXACT_SECONDS
            for block in decoder.blocks():
                mono = mix(block, None)
                self.statistics.add(block, mono)
                self.keep(block, mono)
        except DecodingError as reason:
            if isinstance(reason, UnreadableError):
                raise
            self.error = str(reason)
        return self

    def keep(self, block: np.ndarray, mono: np.ndarray) -> None:
        """Keep a block and its mean in memory, if the sound is short."""
        if self.kept is not None:
            self.kept.append((block, mono))
            if sum(part.size for part, _ in self.kept) > MAX_KEPT_VALUES:
                self.kept = None

    def again(self, channel: int | None) -> Iterator[np.ndarray]:
        """The samples once more, as the mean of the channels or one of them: blocks [S]."""
        if self.kept is not None:
            yield from (mono if channel is None else mix(block, channel) for block, mono in self.kept)
            return
        left = self.statistics.samples
        try:
            for block in self.make().blocks():
                yield mix(block[:left], channel)
                left -= min(left, len(block))
        except UnreadableError:
            raise
        except DecodingError:  # at the same place as in the first pass
            pass
        except OSError as error:
            raise UnreadableError.of(error) from None
        if left:
            raise UnreadableError("cannot be read: it has changed while it was read")

    @property
    def seconds(self) -> float:
        """Decoded seconds."""
        return self.statistics.samples / self.decoder.rate if self.decoder else 0.0


@dataclass
class Recording:
    """Mono samples of a file at its own rate, without a constant offset."""

    rate: int  # Hz
    samples: int
    peak: float  # largest absolute sample
    remark: str  # what is unusual about the file, or ""
    is_result: bool  # written by this program
    silence: str  # why it holds no sound, or ""
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
            header = headers.inspect(file, head)
        # samples that are not finite are refused after the first pass, through which they go without a warning
        with np.errstate(over="ignore", invalid="ignore"):
            return recording(best_attempt(path, header, head), header)
    except (OSError, MemoryError) as error:
        raise UnreadableError.of(error) from None


def best_attempt(path: Path, header: headers.Header, head: bytes) -> Attempt:
    """What libsndfile decodes or, if FFmpeg decodes more, that. Raises ``DecodingError`` if there is nothing."""
    first = Attempt(lambda: LibsndfileDecoder(path, header.patches, content.decoder_prints(head))).run()
    if is_complete(first, path):
        return first
    from vae2ch.audio.ffmpeg import FFmpegDecoder  # here, as few files need it

    second = Attempt(lambda: FFmpegDecoder(path, header.patches)).run()
    best = second if second.seconds > first.seconds + (MISSING_SECONDS if first.seconds else 0) else first
    if best is second and first.claimed_seconds:
        if first.claimed_seconds < best.seconds - MISSING_SECONDS:
            best.remark = f"its header says {first.claimed_seconds:.1f} s; {best.seconds:.1f} s are read"
        else:
            best.claimed_seconds, best.slack = first.claimed_seconds, first.slack
    best.packet_seconds = first.packet_seconds
    if not best.statistics.samples:
        if first.decoder and not first.error:
            raise DecodingError("holds no samples")
        raise DecodingError(f"does not decode: {content.describe(head) or f'{first.error}; {CONVERT}'}")
    return best


def is_complete(attempt: Attempt, path: Path) -> bool:
    """Whether libsndfile has decoded all of a file."""
    decoder = attempt.decoder
    if not isinstance(decoder, LibsndfileDecoder) or attempt.error or not attempt.statistics.samples:
        return False
    if attempt.claimed_seconds > attempt.seconds + MISSING_SECONDS:
        return False
    if decoder.format not in STREAMED_FORMATS:
        return True
    from vae2ch.audio.ffmpeg import FFmpegDecoder

    try:
        attempt.packet_seconds = FFmpegDecoder(path).seconds()
    except DecodingError:
        return True
    return attempt.packet_seconds < attempt.seconds + MISSING_SECONDS


def recording(attempt: Attempt, header: headers.Header) -> Recording:
    """The recording of an attempt. Raises ``DecodingError`` if its samples cannot be used."""
    decoder, statistics = attempt.decoder, attempt.statistics
    assert decoder is not None
    if not SAMPLE_RATES_HZ[0] <= decoder.rate <= SAMPLE_RATES_HZ[1]:
        raise DecodingError("claims a sample rate of {} Hz; {} to {} are read".format(decoder.rate, *SAMPLE_RATES_HZ))
    check_samples(max(statistics.high, -statistics.low), statistics.total)
    remarks = [*header.remarks, *length_remarks(attempt, header.has_length)]
    channel = statistics.loudest_channel()
    if channel is not None:
        remarks.append(f"its channels cancel each other: channel {channel + 1} is used instead of their mean")
        statistics = measure(attempt.again(channel))
        check_samples(max(statistics.high, -statistics.low), statistics.total)
    scale = scale_of(header, statistics)
    offset = offset_of(statistics, decoder.bits, lambda: attempt.again(channel))
    peak = scale * max(statistics.high - offset, offset - statistics.low)
    if offset:
        remarks.append(f"a constant offset of {scale * offset:.2g} is removed")

    def blocks() -> Iterator[np.ndarray]:
        for mono in attempt.again(channel):
            yield mono if scale == 1 and offset == 0 else np.float32(scale) * (mono - np.float32(offset))

    if statistics.has_zeros and (zeros := hole_samples(attempt.again(channel), peak / scale)):
        remarks.append(f"holes of zeros, {zeros / decoder.rate:.1f} s in all")
    silence = reason_for_silence(scale * statistics.low, scale * statistics.high, decoder.bits)
    return Recording(decoder.rate, statistics.samples, peak, "; ".join(remarks), header.is_result, silence, blocks)


def length_remarks(attempt: Attempt, has_length: bool) -> Iterator[str]:
    """What is unusual about the length of a file, or missing in it."""
    found, claimed = attempt.seconds, attempt.claimed_seconds if has_length else 0.0
    delay = MAX_DELAY / attempt.decoder.rate if attempt.decoder else 0.0
    if attempt.packet_seconds > found + MISSING_SECONDS + delay:
        claimed = max(claimed, attempt.packet_seconds)
    if attempt.remark:
        yield attempt.remark
    elif claimed > found + attempt.slack:
        digits = 1 if claimed - found > 0.5 else 3
        yield f"damaged or cut short: {found:.{digits}f} of {claimed:.{digits}f} s"
    elif attempt.error or (attempt.decoder and attempt.decoder.damaged):
        yield f"damaged: the {found:.1f} s that decode are used"


def offset_of(statistics: Statistics, bits: int, blocks: Callable[[], Iterator[np.ndarray]]) -> float:
    """Constant offset of a sound; ``blocks`` returns its mono samples [S], which are read if there may be one."""
    offset = statistics.offset(smallest=2.0 ** (1 - bits) if bits else 0.0)
    return offset if offset and is_constant(blocks(), offset) else 0.0


def scale_of(header: headers.Header, statistics: Statistics) -> float:
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
        return f"holds no sound, only the noise of rounding to {bits} bits"
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
