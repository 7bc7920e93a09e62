"""Sound files: list, decode, resample, write. libsndfile reads all formats; FFmpeg is not needed."""

import io
import os
import stat
from pathlib import Path

import numpy as np
import soundfile
import soxr

from vae2ch.errors import InputError
from vae2ch.files import replacing

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif", ".aifc", ".opus", ".w64")
SAMPLE_RATES_HZ = (1_000, 1_000_000)
MAX_PEAK = 100.0  # 40 dB re full scale; a file with a larger peak is refused
MAX_SECONDS = 2 * 3600  # at 48 kHz the samples take 1.4 GB, and twice as much while they are joined
BLOCK_SAMPLES = 1 << 16  # per channel, decoded at once


class DecodingError(InputError):
    """A file without usable sound. The message is the reason, without the path."""


def list_files(root: Path) -> list[Path]:
    """Sound files below ``root``, sorted, without hidden files and linked folders. Raises ``InputError`` if none."""
    if not root.is_dir():
        state = "is a file, not a folder" if root.exists() else "does not exist"
        raise InputError(f"{root} {state}; give a folder of sound files")
    found = [
        Path(folder) / name
        for folder, folders, names in os.walk(root)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
    if not found:
        raise InputError(f"no sound file in {root}; looked for {' '.join(SUFFIXES)}")
    return sorted(found)


def printable(path: Path) -> str:
    """Path as text that can be printed and stored, whatever bytes its name has."""
    return path.as_posix().encode(errors="backslashreplace").decode()


def decode(path: Path) -> tuple[np.ndarray, int, str]:
    """Mean of the channels as float32 samples [S], sample rate in Hz, and a remark ("" if the file is intact).

    A damaged file is decoded up to the damage. Raises ``DecodingError``, with the reason, if it has no usable sound.
    """
    check_regular_file(path)
    blocks: list[np.ndarray] = []
    remark = ""
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            if not SAMPLE_RATES_HZ[0] <= rate <= SAMPLE_RATES_HZ[1]:
                raise DecodingError("claims a sample rate of {} Hz; {} to {} are read".format(rate, *SAMPLE_RATES_HZ))
            # until the file ends, whatever length its header claims
            while (block := file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)).size:
                blocks.append(block.mean(axis=1))
                if len(blocks) * BLOCK_SAMPLES > MAX_SECONDS * rate:
                    raise DecodingError(f"longer than {MAX_SECONDS // 3600} hours; cut it into pieces")
    except (soundfile.SoundFileError, OSError) as error:
        if not blocks:
            raise DecodingError(f"does not decode ({str(error).rsplit(':', 1)[-1].strip(' .')})") from None
        remark = "damaged: decoded up to the damage"
    if not blocks:
        raise DecodingError("holds no samples")
    wave = np.concatenate(blocks)
    if not np.isfinite(wave).all():
        raise DecodingError("has samples that are NaN or infinite")
    if (peak := float(np.abs(wave).max())) > MAX_PEAK:
        raise DecodingError(f"has a peak of {peak:.3g}, where full scale is 1")
    return wave, rate, remark


def check_regular_file(path: Path) -> None:
    """Raise ``DecodingError`` if a file is missing, empty, not regular, or has a name that libsndfile cannot take."""
    try:
        status = path.stat()
        str(path).encode()
    except OSError as error:
        raise DecodingError(error.strerror.lower() if error.strerror else "cannot be opened") from None
    except UnicodeEncodeError:
        raise DecodingError("its name is not valid UTF-8; rename it") from None
    if not stat.S_ISREG(status.st_mode):
        raise DecodingError("not a regular file")
    if status.st_size == 0:
        raise DecodingError("empty (0 bytes)")


def resample(wave: np.ndarray, rate: float, target: float) -> np.ndarray:
    """Resample ``wave`` [S] from ``rate`` to ``target`` Hz (soxr, high quality), to at least one sample."""
    if rate == target:
        return wave
    resampled = soxr.resample(wave, rate, target)
    return resampled if resampled.size else wave[:1]


def load(path: Path, sample_rate: int) -> np.ndarray:
    """Mono float32 samples [S] of a file at ``sample_rate`` Hz. Raises ``DecodingError``."""
    wave, rate, _ = decode(path)
    return resample(wave, rate, sample_rate)


def write(path: Path, wave: np.ndarray, sample_rate: int, subtype: str = "FLOAT") -> None:
    """Write mono samples [S] as a WAV file; if it fails, no partial file is left.

    Float samples by default, as the output of a model may exceed full scale. Raises ``InputError`` if it fails.
    """
    try:
        contents = wav_bytes(wave, sample_rate, subtype)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(contents)
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


def wav_bytes(wave: np.ndarray, sample_rate: int, subtype: str) -> bytes:
    """Contents of a WAV file; equal samples make equal bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, sample_rate, subtype=subtype, format="WAV")
    contents = bytearray(buffer.getvalue())
    if (where := contents.find(b"PEAK", 0, 256)) >= 0:
        # the timestamp that libsndfile writes, after the chunk's name, size and version of four bytes each
        contents[where + 12 : where + 16] = bytes(4)
    return bytes(contents)
