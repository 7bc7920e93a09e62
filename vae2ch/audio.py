"""Sound files: list, decode, resample, write. No FFmpeg; libsndfile reads them all."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from vae2ch.cache import Cache, Kept
from vae2ch.refusal import Refusal

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif", ".aifc", ".opus", ".w64")
RATES = (1_000, 1_000_000)  # Hz
LOUDEST = 100.0  # 40 dB over full scale: beyond it the samples are not sound in [-1, 1]
LONGEST = 2 * 3600  # seconds; one such file takes 1.4 GB while it is decoded
BLOCK = 1 << 16  # frames
NOTHING = np.empty(0, np.float32)
QUIETEST = 1e-6  # -120 dB: a file whose peak is below it is silent


class Undecodable(Refusal):
    """A file that holds no sound that can be used; the message is the reason, without the path."""


@dataclass(frozen=True)
class Sound:
    """A decoded file.

    Attributes:
        path: where it was read
        name: path relative to the scanned folder
        wave: mono float32 samples at the model's rate  [S]
        digest: of the samples, so that copies of one recording are known as one source
        remark: what is odd about it, or ""
    """

    path: Path
    name: str
    wave: np.ndarray = field(repr=False)
    digest: str
    remark: str = ""


@dataclass(frozen=True)
class Scan:
    """What a folder holds: the sounds, and the files that hold none with the reason for each."""

    sounds: list[Sound]
    refused: dict[str, str]


def list_files(root: Path) -> list[Path]:
    """Sound files below ``root``, sorted; links to folders and hidden files are not followed.

    Raises:
        Refusal: ``root`` is not a folder, or has no file with a known suffix
    """
    if not root.is_dir():
        state = "is a file, not a folder" if root.exists() else "does not exist"
        raise Refusal(f"{root} {state}; give a folder of sound files")
    found = [
        Path(folder) / name
        for folder, folders, names in os.walk(root)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
    if not found:
        raise Refusal(f"no sound file in {root}; looked for {' '.join(SUFFIXES)}")
    return sorted(found)


def blocks(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Mono blocks until the file gives no more; its header is not believed."""
    while (block := file.read(BLOCK, dtype="float32", always_2d=True)).size:
        yield block.mean(axis=1)


def shown(path: Path) -> str:
    """A path as text that can be printed and stored, whatever bytes its name has."""
    return path.as_posix().encode(errors="backslashreplace").decode()


def decode(path: Path) -> tuple[np.ndarray, int, str]:
    """Read a file as far as it decodes.

    Returns:
        mono float32 samples [S], sample rate in Hz, a remark ("" if the file is sound)

    Raises:
        Undecodable: there is nothing to use; says why
    """
    try:
        status = path.stat()
        str(path).encode()
    except OSError as error:
        raise Undecodable(error.strerror.lower() if error.strerror else "cannot be opened") from None
    except UnicodeEncodeError:
        raise Undecodable("its name is not valid UTF-8; rename it") from None
    if not stat.S_ISREG(status.st_mode):
        raise Undecodable("not a regular file")
    if status.st_size == 0:
        raise Undecodable("empty (0 bytes)")
    parts: list[np.ndarray] = []
    remark = ""
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            if not RATES[0] <= rate <= RATES[1]:
                raise Undecodable(f"claims a sample rate of {rate} Hz; {RATES[0]} to {RATES[1]} are read")
            for block in blocks(file):
                parts.append(block)
                if len(parts) * BLOCK > LONGEST * rate:
                    raise Undecodable(f"longer than {LONGEST // 3600} hours; cut it into pieces")
    except (soundfile.SoundFileError, OSError) as error:
        if not parts:
            raise Undecodable(f"does not decode ({str(error).rsplit(':', 1)[-1].strip(' .')})") from None
        remark = "damaged: decoded up to the damage"
    if not parts:
        raise Undecodable("holds no samples")
    wave = np.concatenate(parts)
    if not np.isfinite(wave).all():
        raise Undecodable("has samples that are NaN or infinite")
    if (peak := float(np.abs(wave).max())) > LOUDEST:
        raise Undecodable(f"has a peak of {peak:.3g}, where full scale is 1")
    return wave, rate, remark


def resample(wave: np.ndarray, rate: float, target: float) -> np.ndarray:
    """Bring ``wave`` [S] from ``rate`` to ``target`` Hz (soxr, high quality); never empty."""
    if rate == target:
        return wave
    resampled = soxr.resample(wave, rate, target)
    return resampled if resampled.size else wave[:1]


def load(path: Path, sample_rate: int) -> np.ndarray:
    """Mono float32 samples of a file at ``sample_rate`` Hz  [S]"""
    wave, rate, _ = decode(path)
    return resample(wave, rate, sample_rate)


def read(path: Path, root: Path, sample_rate: int) -> Sound:
    """Decode one file of a collection.

    Raises:
        Undecodable: the file does not decode, or is silent
    """
    wave, rate, remark = decode(path)
    # before resampling, so that a recording is the same source at every rate of the model
    digest = hashlib.sha256(wave.tobytes()).hexdigest()
    wave = resample(wave, rate, sample_rate)
    if float(np.abs(wave).max()) < QUIETEST:
        raise Undecodable("silent from beginning to end")
    return Sound(path, shown(path.relative_to(root)), wave, digest, remark)


def look(path: Path, root: Path, sample_rate: int, cache: Cache) -> Sound | str:
    """One file of a collection, from the cache or else decoded: its sound, or why it is refused."""
    name = shown(path.relative_to(root))
    if kept := cache.get(name, path):
        return kept.refused or Sound(path, name, cache.wave(kept), kept.digest, kept.remark)
    try:
        before = cache.stamp(path)  # before it is read: a change while it is read is a change
        sound = read(path, root, sample_rate)
    except Undecodable as reason:
        cache.put(name, Kept(before, refused=str(reason)))
        return str(reason)
    kept_there = cache.put(name, Kept(before, digest=sound.digest, remark=sound.remark), sound.wave)
    return replace(sound, wave=NOTHING) if kept_there else sound


def scan(root: Path, sample_rate: int, paths: list[Path] | None = None, cache: Path | None = None) -> Scan:
    """Decode every sound file below ``root``, or those of ``paths``, at ``sample_rate`` Hz.

    Args:
        cache: folder where decoded sounds are kept, so that only what has changed is decoded again

    Raises:
        Refusal: there is no folder, no sound file in it, or none that decodes (listing why)
    """
    # here, as it costs a tenth of a second that a refusal need not wait for
    from tqdm import tqdm

    sounds, refused = [], {}
    paths = list_files(root) if paths is None else paths
    with Cache(cache, root, sample_rate) as kept:
        for path in tqdm(paths, desc="reading", unit=" files", leave=False, delay=1):
            found = look(path, root, sample_rate, kept)
            if isinstance(found, Sound):
                sounds.append(found)
            else:
                refused[shown(path.relative_to(root))] = found
    if not sounds:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(refused.items())[:10])
        raise Refusal(f"none of the {len(refused)} sound files in {root} can be used: {reasons}")
    for number, sound in enumerate(sounds):
        if not sound.wave.size:  # it is on disk by now; if even that went wrong, decode it again
            wave = kept.recall(sound.name)
            sounds[number] = read(sound.path, root, sample_rate) if wave is None else replace(sound, wave=wave)
    return Scan(sounds, refused)


def forget_time(path: Path) -> None:
    """Zero the time of writing that libsndfile puts into a float WAV: equal samples, equal bytes.

    It stands in the PEAK chunk, after the chunk's name, size and version of four bytes each.
    """
    with path.open("r+b") as file:
        where = file.read(256).find(b"PEAK")
        if where >= 0:
            file.seek(where + 12)
            file.write(bytes(4))


def write(path: Path, wave: np.ndarray, sample_rate: int, subtype: str = "FLOAT") -> None:
    """Write mono samples [S] as WAV; a write that fails leaves no half file behind.

    Float samples by default: a model's output may pass full scale, and clipping is not ours to do.
    """
    temporary = path.with_name(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(temporary, wave, sample_rate, subtype=subtype, format="WAV")
        forget_time(temporary)
        os.replace(temporary, path)
    except (soundfile.SoundFileError, OSError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise Refusal(f"cannot write {path}: {error}") from None
