"""Decoding a file: what libsndfile makes of it or, where that is less than all of it, FFmpeg."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from vae2ch.audio import content
from vae2ch.audio.errors import DecodingError, UnreadableError
from vae2ch.audio.header import Header
from vae2ch.audio.libsndfile import LibsndfileDecoder
from vae2ch.audio.mixing import Statistics, mix

MAX_KEPT_VALUES = 1 << 23  # decoded samples kept for the second pass (32 MB)
MISSING_SECONDS = 0.1  # a smaller difference of lengths may come from an encoder's delay
EXACT_SECONDS = 0.005  # where the length is that of the samples
CONVERT = "copy it again, or convert it to WAV or FLAC, for example with Audacity or ffmpeg"
STREAMED_FORMATS = ("MP3", "OGG")  # whose length libsndfile estimates, or takes from the first of several parts


class Decoder(Protocol):
    """One pass over a file."""

    rate: int  # Hz
    claimed: int  # samples per channel that the file says it has; 0 if it does not say
    bits: int  # of samples quantised to integers, else 0
    remark: str  # on a length that is not the one claimed, or ""
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
            self.claimed_seconds, self.remark = decoder.claimed / decoder.rate, decoder.remark
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
        if self.kept is not None and channel is None:
            yield from (mono for _, mono in self.kept)
        else:
            yield from (mix(block, channel) for block in self.channels())

    def channels(self) -> Iterator[np.ndarray]:
        """The samples of all channels once more: blocks [S, C]."""
        if self.kept is not None:
            yield from (block for block, _ in self.kept)
            return
        left = self.statistics.samples
        try:
            for block in self.make().blocks():
                yield block[:left]
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


def best_attempt(path: Path, header: Header, head: bytes) -> Attempt:
    """What libsndfile decodes or, if FFmpeg decodes more, that. Raises ``DecodingError`` if there is nothing."""
    first = Attempt(lambda: LibsndfileDecoder(path, header.patches, content.decoder_prints(head), header.end)).run()
    if is_complete(first, path, header):
        return first
    from vae2ch.audio.ffmpeg import NO_SOUND, FFmpegDecoder  # here, as few files need it

    second = Attempt(lambda: FFmpegDecoder(path, header.patches, header.end)).run()
    best = second if second.seconds > first.seconds + (MISSING_SECONDS if first.seconds else 0) else first
    if best is second and first.claimed_seconds:
        if first.claimed_seconds < best.seconds - MISSING_SECONDS:
            best.remark = false_length(first.claimed_seconds, best.seconds)
        else:
            best.claimed_seconds, best.slack = first.claimed_seconds, first.slack
    best.packet_seconds = first.packet_seconds
    if not best.statistics.samples:
        if first.decoder and not first.error:
            raise DecodingError("holds no samples")
        if second.error == NO_SOUND:
            raise DecodingError(NO_SOUND)
        raise DecodingError(f"does not decode: {content.describe(head) or f'{first.error}; {CONVERT}'}")
    return best


def is_complete(attempt: Attempt, path: Path, header: Header) -> bool:
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
        attempt.packet_seconds = FFmpegDecoder(path, header.patches, header.end).seconds()
    except DecodingError:
        return True
    return attempt.packet_seconds < attempt.seconds + MISSING_SECONDS


def false_length(claimed: float, found: float) -> str:
    """Remark on a file that is longer, in seconds, than it says."""
    return "its header says {} s; {} s are read".format(*distinct(claimed, found))


def distinct(*seconds: float) -> list[str]:
    """Numbers with as many digits as show that they differ."""
    digits = 1 if max(seconds) - min(seconds) > 0.5 else 3
    return [f"{number:.{digits}f}" for number in seconds]
