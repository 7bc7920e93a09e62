"""Memory that a run needs, estimated before anything large is allocated, and compared with what is available.

The figures are peaks measured on a CPU, over that of the process before: they were within 15 % for latent_dim 128 to
8192, batches of 2 to 64 and spectrograms of 4,000 to a million bins. P is the number of parameters, D of latents.
"""

import functools
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vae2ch.cli import cgroups
from vae2ch.cli.start import BASE, PCA, shipped_file
from vae2ch.codec import BATCH
from vae2ch.config import RunConfig
from vae2ch.data.module import MAX_SAMPLE_FLOATS
from vae2ch.errors import InputError
from vae2ch.initial_weights.pca import PCA_SEGMENTS
from vae2ch.model import VAE, padded_length
from vae2ch.representation import Representation

FIXED = 2e8  # libraries that are loaded later, buffers
PROCESS = 8e8  # each further process: Python, torch and the sounds
WORKER = 1e8  # a process of a DataLoader
TRAINING_BYTES = {
    "32-true": 20,
    "bf16-mixed": 24,
}  # per parameter: weight, initial weight, gradient, two moments; bf16 weight, gradient
CHECKPOINT_BYTES = 16  # per parameter: weight, initial weight, two moments, in memory before they are written
COVARIANCE_BYTES = 4  # times D^2
UPDATE_BYTES = 30  # times D^2, while the covariance is updated or a sample is taken
STEP_BYTES = 520  # per bin of a batch: activations and their gradients
SAMPLE_BYTES = 230  # per bin of the segments that are decoded at once
PCA_BYTES = 20  # per bin of the sample
TOLERANCE = 1.1  # of the estimate, as no run shall be refused that can be made
SETTINGS = {  # that the need depends on: usual value, and the smallest
    "latent_dim": (128, 1),
    "data.batch_size": (8, 2),
    "representation.frames": (128, 2),
    "representation.n_fft": (1022, 64),
    "trainer.devices": (1, 1),
    "media.sounds": (4, 1),
}


def check(config: RunConfig) -> None:
    """Raise ``InputError`` if a run needs more memory than is available, with the largest value that fits."""
    available = available_memory(config.trainer.accelerator)
    if available is None or fits(config, available, TOLERANCE):
        return
    need = f"needs about {gigabytes(needed(config))} GB, and {gigabytes(available)} GB are available"
    ratios = {key: value_of(config, key) / usual for key, (usual, _) in SETTINGS.items()}
    for key in sorted(ratios, key=lambda key: -ratios[key]):
        largest = largest_fitting(config, key, available)
        if largest is not None:
            raise InputError(f"{key}={value_of(config, key)} {need}; the largest that fits is {largest}")
    unusual = ", ".join(f"{key}={value_of(config, key)}" for key, ratio in ratios.items() if ratio > 1)
    raise InputError(f"this run {need}; lower several of {unusual or ', '.join(SETTINGS)}")


def gigabytes(size: float) -> str:
    """A number of bytes in GB, rounded."""
    return f"{size / 1e9:,.0f}" if size >= 1e10 else f"{size / 1e9:.2g}"


def needed(config: RunConfig) -> float:
    """Bytes on the device at the peak of a run, of all its processes on a CPU. Raises ``ValueError`` as the model."""
    pixels = math.prod(map(padded_length, Representation(config.representation).size))
    parameters, square = count_parameters(config), config.latent_dim**2
    on_cpu, devices = config.trainer.accelerator == "cpu", config.trainer.devices
    has_pca = config.start == PCA or (config.start == BASE and shipped_file(config.representation) is None)
    segments = max(2, min(PCA_SEGMENTS, MAX_SAMPLE_FLOATS // pixels)) if has_pca else 0
    saving = CHECKPOINT_BYTES * parameters + COVARIANCE_BYTES * square
    training = TRAINING_BYTES[config.trainer.precision] * parameters + COVARIANCE_BYTES * square
    training += max(saving if on_cpu else 0, UPDATE_BYTES * square)
    decoded = SAMPLE_BYTES * min(BATCH, config.media.sounds)
    training += pixels * max(STEP_BYTES * config.data.batch_size, decoded)
    initialisation = 4 * parameters + PCA_BYTES * segments * pixels  # that from a base needs less than training
    if not on_cpu:  # of one device; the initialisation is on the CPU
        return training
    workers = WORKER * devices * (config.data.workers or 0)
    return FIXED + devices * max(training, initialisation) + (devices - 1) * PROCESS + workers


def count_parameters(config: RunConfig) -> int:
    """Number of parameters of the model, which is not allocated."""
    bins, frames = map(padded_length, Representation(config.representation).size)
    return parameters_of(bins, frames, config.latent_dim)


@functools.cache  # the search for a value that fits asks often
def parameters_of(bins: int, frames: int, latent_dim: int) -> int:
    """Number of parameters of a VAE."""
    with torch.device("meta"):
        vae = VAE(bins=bins, frames=frames, latent_dim=latent_dim)
    return sum(weight.numel() for weight in vae.parameters())


def fits(config: RunConfig, available: float, tolerance: float = 1.0) -> bool:
    """Whether a run fits into the available bytes; settings that no model can have do."""
    try:
        return needed(config) <= tolerance * available
    except ValueError:  # of the representation, reported when it is built
        return True


def largest_fitting(config: RunConfig, key: str, available: float) -> int | None:
    """The largest value of a setting below the present one with which a run fits, if there is one."""
    low, high = SETTINGS[key][1], value_of(config, key)
    if key == "representation.n_fft":
        low = max(low, 2 * config.representation.hop)
    if low >= high or not fits(with_value(config, key, low), available):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(with_value(config, key, middle), available) else (low, middle)
    return low - low % 2 if key == "representation.n_fft" else low


def value_of(config: RunConfig, key: str) -> int:
    """The value of a setting."""
    group, _, name = key.rpartition(".")
    return getattr(getattr(config, group) if group else config, name)


def with_value(config: RunConfig, key: str, value: int) -> RunConfig:
    """The settings with another value of one; an odd length of the transform becomes even."""
    group, _, name = key.rpartition(".")
    changed: dict[str, Any] = {name: value - value % 2 if name == "n_fft" else value}
    return replace(config, **({group: replace(getattr(config, group), **changed)} if group else changed))


def available_memory(accelerator: str) -> float | None:
    """Bytes that can be allocated on a device; None if that cannot be found out."""
    if accelerator == "gpu":
        return float(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else None
    finders: tuple[Callable[[], float | None], ...] = (cgroups.available_memory, free_memory, free_addresses)
    return min((size for find in finders if (size := find()) is not None), default=None)


def free_memory(file: Path = Path("/proc/meminfo")) -> float | None:
    """Bytes of memory and swap that the system can still give, on Linux."""
    with suppress(OSError, ValueError):
        found = dict(re.findall(r"^(MemAvailable|SwapFree):\s+(\d+) kB", file.read_text(), re.MULTILINE))
        return 1024.0 * sum(map(int, found.values())) if "MemAvailable" in found else None
    return None


def free_addresses() -> float | None:
    """Bytes up to the limit of this process's address space (ulimit -v), if it has one, on Linux."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        return None if limit == resource.RLIM_INFINITY else float(limit - used)
    return None
