"""Decode by FFmpeg (PyAV): formats that libsndfile does not know, and what follows damage or a false length."""

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import numpy as np

from vae2ch.audio.errors import DecodingError
from vae2ch.audio.patched_file import PatchedFile

MIN_BLOCK_VALUES = 1 << 18
NO_SOUND = "has no sound track"
RESERVOIR = 4  # frames of MP3 on both sides of damage, which may hold false samples: they share their bits
MAX_PACKET = 2**31  # duration of a packet; that of the last one may be negative, and wrapped around 2**32
MAX_SAMPLES = 2**40  # that a file may say it has; more is a placeholder
# those of sound and video; playlists and the like could name other files
FORMATS = (
    "aac,ac3,adx,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,ircam,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "nistsphere,ogg,oma,paf,pvf,qoa,rm,sds,sox,tak,tta,voc,w64,wav,wv,wve,xwma"
)


class FFmpegDecoder:
    """One pass over a file. Raises ``DecodingError`` if FFmpeg does not open it.

    ``patches`` and ``end``: as for libsndfile.
    """

    bits = 0  # of quantised samples: not known
    remark = ""

    def __init__(self, path: Path, patches: Mapping[int, bytes] = MappingProxyType({}), end: int | None = None) -> None:
        self.damaged = False
        # as an open file, so that the system's errors keep their text, and the suffix is no hint
        self.source = PatchedFile(path, patches, end)
        try:
            self.container = av.open(
                self.source, options={"format_whitelist": FORMATS}, metadata_errors="backslashreplace"
            )
        except (av.FFmpegError, ValueError):
            self.source.close()  # raises the system's error, if there was one
            raise DecodingError("does not decode") from None
        stream = self.container.streams.best("audio")
        if stream is None and self.container.streams.video:
            self.close()
            raise DecodingError(NO_SOUND)
        if not (getattr(stream, "rate", None) and getattr(stream, "channels", None)):  # none without a known codec
            self.close()
            raise DecodingError("does not decode")
        self.stream, self.rate = stream, stream.rate
        seconds = (self.container.duration or 0) / av.time_base
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        self.claimed = min(max(0, round(seconds * self.rate)), MAX_SAMPLES)

    def close(self) -> None:
        self.container.close()
        self.source.close()

    def seconds(self) -> float:
        """Seconds of the packets, which are not decoded."""
        try:
            durations = (packet.duration or 0 for packet in self.container.demux(self.stream))
            found = sum(duration for duration in durations if 0 < duration < MAX_PACKET)
            return float(found * (self.stream.time_base or 0))
        except av.FFmpegError:
            return 0.0
        finally:
            self.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Float32 samples [S, C], in blocks. Raises ``DecodingError`` if most of the file does not decode."""
        parts: list[np.ndarray] = []
        try:
            for part in self.converted():
                parts.append(part)
                if sum(part.size for part in parts) >= MIN_BLOCK_VALUES:
                    yield np.concatenate(parts)
                    parts = []
            if parts:
                yield np.concatenate(parts)
        except av.FFmpegError:  # of the conversion to float, which takes not all that decodes
            raise DecodingError("it is damaged") from None
        finally:
            self.close()

    def converted(self) -> Iterator[np.ndarray]:
        """Samples [S, C] of all frames, at the rate and with the channels of the first."""
        convert: Any = None
        kind, layout = None, None
        for frame in self.frames():
            found = (frame.sample_rate, frame.layout.name, frame.format.name)
            if found != kind:
                if convert:
                    yield from samples(convert.resample(None))
                else:
                    layout, self.rate = frame.layout, frame.sample_rate
                convert, kind = av.AudioResampler("fltp", layout, self.rate), found
            yield from samples(convert.resample(frame))
        if convert:
            yield from samples(convert.resample(None))

    def frames(self) -> Iterator[av.AudioFrame]:
        """Decoded frames; packets that do not decode are skipped. Raises ``DecodingError`` if those are the most."""
        good, bad, skipped = 0, 0, 0
        reach = RESERVOIR if self.stream.codec_context.name.startswith("mp3") else 0
        kept: deque[av.AudioFrame] = deque()
        packets = self.container.demux(self.stream)
        while True:
            try:
                decoded = next(packets).decode()
            except StopIteration:
                break
            except av.FFmpegError:
                bad += 1
                kept.clear()
                skipped = reach
                continue
            good += 1
            for frame in decoded:
                if skipped:
                    skipped -= 1
                else:
                    kept.append(frame)
            while len(kept) > reach:
                yield kept.popleft()
        self.damaged = bad > 0
        yield from kept
        if bad > good:
            raise DecodingError("does not decode")


def samples(frames: list[av.AudioFrame]) -> Iterator[np.ndarray]:
    """Samples [S, C] of planar frames."""
    for frame in frames:
        yield np.ascontiguousarray(frame.to_ndarray().T)
