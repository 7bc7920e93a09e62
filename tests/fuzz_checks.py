"""What is checked of one damaged file: it is kept whole or refused with one line, without noise, waste or harm."""

import contextlib
import os
import re
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vae2ch import audio
from vae2ch.audio import DecodingError
from vae2ch.audio.recording import MAX_PEAK, SAMPLE_RATES_HZ
from vae2ch.codec import SoundCodec
from vae2ch.data.scan import scan
from vae2ch.errors import InputError
from vae2ch.training.checkpoint_io import read_training_state

SLOW_SECONDS = 5  # of processor time
MEMORY_MB = 1024  # more than before the case
LONGEST_REASON = 300  # characters, without the path
RATE = 16000  # of the model


class Outcome(NamedTuple):
    """What became of a case."""

    status: str  # kept, remark, refused
    reason: str  # or the remark
    problems: list[str]
    seconds: float
    megabytes: float


def memory(name):
    """Memory of this process in MB: VmRSS now, VmHWM at its highest since ``reset_peak``."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def reset_peak():
    Path("/proc/self/clear_refs").write_text("5")


def open_files():
    folder = "/proc/self/fd"
    return {name: os.readlink(path) for name in os.listdir(folder) if os.path.lexists(path := f"{folder}/{name}")}


@contextlib.contextmanager
def captured_output(problems):
    """Turn whatever is written on file descriptors 1 and 2, by C libraries too, into a problem."""
    before = [os.dup(descriptor) for descriptor in (1, 2)]
    with tempfile.TemporaryFile() as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        try:
            yield
        finally:
            for descriptor, old in zip((1, 2), before, strict=True):
                os.dup2(old, descriptor)
                os.close(old)
            file.seek(0)
            if text := file.read(2000).decode(errors="replace").strip():
                problems.append(f"printed: {text.splitlines()[0][:150]}")


def check(case, folder):
    """Write a case into a folder and read it as a user's file would be."""
    path = folder / f"case{case.suffix}"
    path.write_bytes(case.content)
    problems, status, reason = [], "refused", ""
    read = check_checkpoint if case.kind.startswith("checkpoint") else check_sound
    files = open_files()
    reset_peak()
    resident, begin = memory("VmRSS"), time.process_time()
    with captured_output(problems), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            status, reason = read(path, problems)
        except InputError as error:
            reason = str(error)
        except Exception as error:
            problems.append(f"raised {type(error).__name__}: {' '.join(str(error).split())[:150]}")
    seconds, megabytes = time.process_time() - begin, memory("VmHWM") - resident
    reason = reason.replace(str(path), "FILE").replace(str(folder), "FOLDER")
    problems += [f"warned: {' '.join(str(warning.message).split())[:150]}" for warning in caught]
    problems += reason_problems(reason) if status != "kept" and not any("raised" in text for text in problems) else []
    if open_files() != files:
        problems.append("left files open")
    if seconds > SLOW_SECONDS:
        problems.append(f"took {seconds:.0f} s")
    if megabytes > MEMORY_MB:
        problems.append(f"took {megabytes:.0f} MB")
    path.unlink()
    return Outcome(status, reason, list(dict.fromkeys(problems)), seconds, megabytes)


def reason_problems(reason):
    """Why a reason is not one line that can be read."""
    if not reason.strip():
        return ["the reason is empty"]
    if not reason.isprintable():
        return [f"the reason is not one line of text: {reason[:100]!r}"]
    return [f"the reason has {len(reason)} characters"] if len(reason) > LONGEST_REASON else []


def check_sound(path, problems):
    """Decode a sound file alone, and by a scan; both have the same result."""
    try:
        wave, rate, remark = audio.decode(path)
    except DecodingError as error:
        scanned = scan_reason(path)
        if str(error) not in scanned:
            problems.append(f"decode refused, and scan said {scanned!r}: {error}")
        raise
    if not (isinstance(wave, np.ndarray) and wave.dtype == np.float32 and wave.ndim == 1 and wave.size):
        problems.append("samples are not float32 [S]")
    elif not np.isfinite(wave).all() or np.abs(wave).max() > MAX_PEAK:
        problems.append("samples are not finite")
    if not (isinstance(rate, int) and SAMPLE_RATES_HZ[0] <= rate <= SAMPLE_RATES_HZ[1]):
        problems.append(f"has a rate of {rate!r}")
    scanned = scan_reason(path)
    if scanned != remark and not ("silent" in scanned or "holds no sound" in scanned or "written by" in scanned):
        problems.append(f"decode kept it ({remark!r}), and scan said {scanned!r}")
    return ("remark", remark) if remark else ("kept", "")


def scan_reason(path):
    """Remark of a file that is scanned, or the reason why it is refused."""
    try:
        (sound,) = scan(path.parent, RATE, [path]).sounds
    except InputError as error:
        return str(error)
    assert np.isfinite(sound.wave).all(), "resampled samples are not finite"
    assert sound.samples == sound.wave.size > 0, "no samples after resampling"
    return sound.remark


def check_checkpoint(path, problems):
    """Load a checkpoint for inference, use it, and read it for training."""
    try:
        codec = SoundCodec.load(path)
    except InputError as error:
        with contextlib.suppress(InputError):
            read_training_state(path)
            problems.append(f"load refused what training can go on from: {error}")
        raise
    try:
        codec.perturb(torch.sin(torch.arange(codec.segment) / 5), seed=0)  # encoder, distribution and decoder
        read_training_state(path)
    except InputError as error:
        return "remark", f"a model, but: {error}"
    return "kept", ""
