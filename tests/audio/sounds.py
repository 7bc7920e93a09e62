"""Sound files as other programs, recorders and interrupted copies leave them."""

import io
import struct

import av
import numpy as np
import soundfile

from tests.mutations import overwritten

RATE = 22050
FORMATS = {  # arguments of soundfile by suffix
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "rf64": {"format": "RF64", "subtype": "PCM_16"},
    "w64": {"format": "W64", "subtype": "PCM_16"},
    "aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "au": {"format": "AU", "subtype": "PCM_16"},
    "caf": {"format": "CAF", "subtype": "PCM_16"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}
FFMPEG_FORMATS = {  # muxer and encoder of FFmpeg by suffix
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
    "wma": ("asf", "wmav2"),
    "mkv": ("matroska", "aac"),
    "mp4": ("mp4", "alac"),
    "wv": ("wv", "wavpack"),
    "tta": ("tta", "tta"),
    "ac3": ("ac3", "ac3"),
}


def tone(seconds=0.5, hertz=440.0, rate=RATE, level=0.5):
    """A sine  [S]"""
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds=0.5, level=0.1, rate=RATE, seed=0):
    """White noise  [S]"""
    return np.random.default_rng(seed).normal(0, level, int(seconds * rate)).astype(np.float32)


def kick(seconds=0.5, rate=RATE):
    """A drum whose samples have a mean that is not 0  [S]"""
    time = np.arange(int(seconds * rate)) / rate
    return (0.8 * np.exp(-12 * time) * np.cos(2 * np.pi * 30 * time * np.exp(-6 * time))).astype(np.float32)


def encoded(wave, rate=RATE, **options):
    """Contents of a file that libsndfile writes: ``options`` of soundfile, or a ``suffix`` of ``FORMATS``."""
    buffer = io.BytesIO()
    if "suffix" in options:
        options = FORMATS[options.pop("suffix")] | options
    soundfile.write(buffer, wave, rate, **options)
    return buffer.getvalue()


def ffmpeg_encoded(wave, suffix, rate=44100):
    """Contents of a file that FFmpeg writes, from samples [S]."""
    muxer, codec = FFMPEG_FORMATS[suffix]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", bit_rate=96000)
        frame = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
        frame.rate = rate
        fitting = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or 1024)
        for part in (*fitting.resample(frame), *fitting.resample(None), None):
            container.mux(stream.encode(part))
    return buffer.getvalue()


def written(path, data):
    """The path, with these contents."""
    path.write_bytes(data)
    return path


def cut(data, share=0.6):
    """Contents of an interrupted copy."""
    return data[: int(len(data) * share)]


def wav(samples, *, channels=1, bits=16, align=None, tag=1, rate=RATE):
    """A WAV file of raw bytes, with any fields."""
    align = channels * bits // 8 if align is None else align
    fields = struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fields + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_field(data, name, value, layout="<I", offset=4):
    """Contents with a number ``offset`` bytes after the beginning of a name."""
    return overwritten(data, data.index(name) + offset, struct.pack(layout, value))


def mpeg_start(data):
    """Position of the first frame of an MP3 file."""
    return next(k for k in range(len(data)) if data[k] == 0xFF and data[k + 1] & 0xE0 == 0xE0)


def without_xing(data):
    """An MP3 file without its first frame, which holds the length."""
    start = mpeg_start(data)
    assert b"Xing" in data[start : start + 200] or b"Info" in data[start : start + 200]
    version_1 = data[start + 1] >> 3 & 3 == 3
    rates = (44100, 48000, 32000) if version_1 else (22050, 24000, 16000)
    kbps = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320) if version_1 else (
        0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # fmt: skip
    size = (144_000 if version_1 else 72_000) * kbps[data[start + 2] >> 4] // rates[data[start + 2] >> 2 & 3]
    return data[start + size + (data[start + 2] >> 1 & 1) :]


def of_unknown_length(flac):
    """A FLAC file as an encoder writes it into a pipe: without the number of samples and the hash."""
    flac = overwritten(flac, 21, bytes((flac[21] & 0xF0, 0, 0, 0, 0)))
    return overwritten(flac, 26, bytes(16))


def holed(data, start=0.4, end=0.6, byte=0):
    """Contents with zeros, or another byte, in the middle, as an interrupted copy of blocks leaves them."""
    first, last = (int(len(data) * share) // 512 * 512 for share in (start, end))
    return overwritten(data, first, bytes([byte]) * (last - first))
