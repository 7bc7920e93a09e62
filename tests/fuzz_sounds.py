"""Damaged sound files by number: intact files of all formats that libsndfile writes, and a mutation of one of them."""

import functools
import io
import random
import re
import struct
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from tests.mutations import SOUND_FILE, digest, mutate, overwritten, with_page_checksum
from vae2ch.audio.content import SOUND_SUFFIXES

VARIANTS = (  # channels, Hz, seconds
    (1, 16000, 0.2),
    (2, 44100, 0.1),
    (6, 48000, 0.05),
    (1, 8000, 3.0),
    (2, 192000, 0.02),
    (1, 96000, 0.1),
)
LONGER = (2, 48000, 1.5)  # of compressed formats
COMMON = ("WAV", "AIFF", "FLAC", "OGG", "MP3")  # formats that are damaged three times as often as others
OWN_SUFFIX = {"FLAC": ".flac", "OGG": ".ogg", "MP3": ".mp3", "AIFF": ".aiff", "W64": ".w64", "SD2": ".sd2"}
WRONG_SUFFIXES = (*sorted(SOUND_SUFFIXES), ".raw", ".sd2", ".txt", ".mp4", "")


class Case(NamedTuple):
    """A damaged file."""

    kind: str  # format, for the table
    suffix: str
    content: bytes
    description: str  # what it was made of, and how


def tone(channels, rate, seconds):
    """A decaying tone with a little noise  [S, channels]"""
    time = np.arange(int(seconds * rate))[:, None] / rate
    noise = np.random.default_rng(0).normal(0, 0.02, (len(time), channels))
    return 0.4 * np.sin(2 * np.pi * 440 * time) * np.exp(-2 * time) + noise


def written(wave, rate, **options):
    """Contents of a sound file, None if libsndfile does not write it."""
    try:
        if options["format"] == "SD2":  # into a real file only
            with tempfile.TemporaryDirectory() as folder:
                soundfile.write(Path(folder) / "a.sd2", wave, rate, **options)
                return (Path(folder) / "a.sd2").read_bytes()
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, rate, **options)
    except soundfile.SoundFileError:
        return None
    return undated(buffer.getvalue())


def undated(data):
    """Contents without what depends on the time of writing."""
    if data[:4] == b"OggS":
        pages = re.split(b"(?=OggS)", data)[1:]
        return b"".join(with_page_checksum(overwritten(page, 14, b"test")) for page in pages)
    if data[:6] == b"MATLAB":
        return overwritten(data, 0, data[: data.index(b"libsndfile")].ljust(124, b"\0"))
    peak = data.find(b"PEAK", 0, 256)
    return data if peak < 0 else overwritten(data, peak + 12, bytes(4))


@functools.cache
def intact_files():
    """Contents of intact files by format: pairs of a name and contents."""
    files = {}
    for form in sorted(set(soundfile.available_formats()) - {"RAW"}):
        variants = (*VARIANTS, LONGER) if form in ("FLAC", "OGG", "MP3") else VARIANTS
        for subtype in soundfile.available_subtypes(form):
            for variant in variants:
                modes = ("CONSTANT", "VARIABLE") if form == "MP3" else (None,)
                for mode in modes:
                    data = written(tone(*variant), variant[1], format=form, subtype=subtype, bitrate_mode=mode)
                    name = "{} {}, {} channels, {} Hz, {} s".format(form, subtype, *variant)
                    files.setdefault(form, []).extend([(f"{name} {mode or ''}", data)] if data else [])
    wrapped = [(f"WAV of {name}", riff_of_mpeg(data)) for name, data in files["MP3"]]
    files["WAV"] += wrapped * 3
    return {form: found for form, found in files.items() if found}


def riff_of_mpeg(data):
    """A WAV file that holds MP3 frames of 16 kHz."""
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 16000, 4000, 1, 0, 12, 1, 2, 144, 1, 1393)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def sound_case(number, seed):
    """The damaged sound file of a number."""
    chance = random.Random(f"sound {seed} {number}")
    files = intact_files()
    forms = [*files, *COMMON, *COMMON]
    form = forms[number % len(forms)]
    (name, data), (_, other) = chance.choice(files[form]), chance.choice(files[chance.choice(forms)])
    data, names = mutate(data, chance, other, SOUND_FILE)
    suffix = chance.choice(WRONG_SUFFIXES) if chance.random() < 0.15 else OWN_SUFFIX.get(form, ".wav")
    description = f"{name.strip()}; {', '.join(names)}; named {suffix or 'no suffix'}; {digest(data)}"
    return Case(form, suffix, data, description)
