"""What the machine can do, and the settings that follow from it."""

import ctypes
import os
import sys

import torch

from vae2ch.refusal import Refusal


def accelerator(wanted: str) -> str:
    """``cpu``, ``gpu`` or ``mps``: the one asked for, or for ``auto`` the best at hand."""
    if wanted != "auto":
        return wanted
    return "gpu" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def has_bf16(device: str) -> bool:
    """Whether the device, by Lightning's name or torch's, multiplies bf16 natively: faster than float32."""
    if device == "cpu":
        # the CPU names its instruction sets only in private functions, here in torch 2.11 and 2.12
        checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        return any(getattr(torch.cpu, check, lambda: False)() for check in checks)
    return device in ("gpu", "cuda") and torch.cuda.is_bf16_supported(including_emulation=False)


def precision(wanted: str, device: str) -> str:
    """Lightning's name for the precision asked for, or for ``auto`` the fastest that costs nothing."""
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if has_bf16(device) else "32-true"


def device(wanted: str) -> str:
    """Torch's name for the device asked for, or for ``auto`` the best at hand.

    Raises:
        Refusal: it is not there
    """
    if wanted == "auto":
        return {"gpu": "cuda"}.get(accelerator("auto"), accelerator("auto"))
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[wanted]:
        raise Refusal(
            f"--device {wanted}: there is none here; allowed: {', '.join(k for k, v in present.items() if v)}"
        )
    return wanted


def workers(device: str, ranks: int) -> int:
    """How many processes shall read sounds ahead of each of so many networks on torch's device.

    Beside a CPU's none, as it needs the cores itself. A GPU is through with a batch in the time that one process
    takes for the next.
    """
    if device != "cuda":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(0, min(4, cores // ranks - 1))


def keep_memory() -> None:
    """Let the C library keep what is freed, for the next step to use again.

    By default glibc hands every large block back to the system and gets it anew, page by page,
    zeroed: about a sixth of a step on a CPU (docs/speed.md). Elsewhere than on glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    trim_threshold, mmap_max = -1, -4  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
