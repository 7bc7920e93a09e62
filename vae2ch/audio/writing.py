"""Write sound files, and recognise what this program has written."""

import io
from pathlib import Path

import numpy as np
import soundfile

from vae2ch.errors import InputError
from vae2ch.files import replacing

SOFTWARE = "vae2ch"  # in the INFO chunk of a result, so that it is not taken for a recording


def write(path: Path, wave: np.ndarray, sample_rate: int, subtype: str = "FLOAT", *, result: bool = False) -> None:
    """Write mono samples [S] as a WAV file; if it fails, no partial file is left.

    Float samples by default, as the output of a model may exceed full scale. A ``result`` is marked as written by this
    program. Raises ``InputError`` if it fails.
    """
    try:
        contents = wav_bytes(wave, sample_rate, subtype, SOFTWARE if result else "")
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(contents)
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


def wav_bytes(wave: np.ndarray, sample_rate: int, subtype: str, software: str) -> bytes:
    """Contents of a WAV file; equal samples make equal bytes."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate, 1, subtype, format="WAV") as file:
        if software:
            file.software = software
        file.write(wave)
    contents = bytearray(buffer.getvalue())
    if (where := contents.find(b"PEAK", 0, 256)) >= 0:
        # the timestamp that libsndfile writes, after the chunk's name, size and version of four bytes each
        contents[where + 12 : where + 16] = bytes(4)
    return bytes(contents)
