"""Capabilities of this machine, and the settings that depend on them."""

import ctypes
import os
import sys
from dataclasses import replace

import torch

from vae2ch.cli.cgroups import cpu_quota
from vae2ch.config import RunConfig
from vae2ch.errors import InputError

MAX_WORKERS = 15  # beside a GPU, each of which prepares some hundred segments a second
ALLOWED_WORKERS = 4  # also with fewer cores


def resolve(config: RunConfig) -> RunConfig:
    """Replace ``auto`` and null by the accelerator, precision and number of workers for this machine.

    Raises ``InputError`` if more workers are asked for than it has cores.
    """
    accelerator, precision, workers = config.trainer.accelerator, config.trainer.precision, config.data.workers
    if accelerator == "auto":
        accelerator = best_accelerator()
    if precision == "auto":
        precision = "bf16-mixed" if has_bf16(accelerator) else "32-true"
    if workers is None:
        workers = default_workers(accelerator, config.trainer.devices)
    elif workers > (most := max(ALLOWED_WORKERS, available_cores())):
        raise InputError(f"data.workers={workers}: this machine has {available_cores()} cores; allowed: 0 to {most}")
    trainer = replace(config.trainer, accelerator=accelerator, precision=precision)
    return replace(config, trainer=trainer, data=replace(config.data, workers=workers))


def best_accelerator() -> str:
    """Lightning's name of the best accelerator of this machine: ``gpu``, ``mps`` or ``cpu``."""
    return "gpu" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def has_bf16(accelerator: str) -> bool:
    """Whether an accelerator has bf16 arithmetic, which is then faster than float32."""
    if accelerator == "cpu":
        # torch 2.11 and 2.12 name the instruction sets of a CPU in private functions only
        checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        return any(getattr(torch.cpu, check, lambda: False)() for check in checks)
    return accelerator == "gpu" and torch.cuda.is_bf16_supported(including_emulation=False)


def default_workers(accelerator: str, devices: int) -> int:
    """Number of DataLoader processes for each device: none without an NVIDIA GPU, as training needs the cores."""
    if accelerator != "gpu":
        return 0
    return max(0, min(MAX_WORKERS, available_cores() // devices - 1))


def available_cores() -> int:
    """CPU cores that this process may use: those that it may run on, or fewer where a container limits their time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, cpu_quota() or cores)


def limit_threads(processes: int = 1) -> None:
    """Let torch use no more than the available cores, shared by processes, unless OMP_NUM_THREADS says how many."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    threads = max(1, min(available_cores(), torch.get_num_threads()) // processes)
    torch.set_num_threads(threads)
    if processes > 1:  # for those that Lightning starts
        os.environ["OMP_NUM_THREADS"] = str(threads)


def inference_device(name: str) -> str:
    """Torch's device for a name, ``auto`` being the best. Raises ``InputError`` if this machine has none."""
    if name == "auto":
        return best_accelerator().replace("gpu", "cuda")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[name]:
        allowed = ", ".join(key for key, value in present.items() if value)
        raise InputError(f"--device {name}: this machine has none; allowed: {allowed}")
    return name


def autocast_dtype(device: str) -> torch.dtype | None:
    """bf16 if the device has bf16 arithmetic, else None."""
    return torch.bfloat16 if has_bf16(device.replace("cuda", "gpu")) else None


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step, in this process; elsewhere do nothing.

    By default it returns every large block to the system and gets it back page by page, zeroed, at every step.
    """
    if sys.platform != "linux":
        return
    trim_threshold, mmap_max = -1, -4  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
