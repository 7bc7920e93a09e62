"""How long it takes to begin, and how scan, start, step and memory grow with the collection.

    python -m vae2ch.bench.growth ROOT CACHE

measures one collection, in a process of its own.
"""

import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vae2ch import audio
from vae2ch.bench import brief
from vae2ch.run import build

ROOT = Path(__file__).parents[2]


def timed(*arguments: str, until: str | None = None) -> float:
    """Seconds from the start of a Python command to its end, or to a line that holds ``until``."""
    begin = time.perf_counter()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as running:
        for line in running.stdout:
            if until is not None and until in line:
                found = time.perf_counter() - begin
                running.kill()
                return found
    return time.perf_counter() - begin


def starting() -> dict[str, float]:
    """Seconds until an answer, or the first step of a training."""
    train = str(ROOT / "train.py")
    with tempfile.TemporaryDirectory() as place:
        folder = [f"hydra.run.dir={place}/run", f"data.root={place}/notes", f"data.cache={place}/cache"]
        first = timed(train, *folder, until="first step")
        again = timed(train, *folder, until="first step")
    return {
        "train.py --help": timed(train, "--help"),
        "a refusal (preset=hevy)": timed(train, "preset=hevy"),
        "importing torch and Lightning": timed("-c", "import torch, lightning.pytorch"),
        "first step, notes to be synthesised and decoded": first,
        "first step, the same folder again": again,
    }


def synthetic(root: Path, count: int) -> None:
    """So many files of a fifth of a second of noise, a thousand to a folder."""
    random = np.random.default_rng(0)
    for number in range(count):
        wave = random.normal(0, 0.1, 3200).astype(np.float32)
        audio.write(root / f"{number // 1000:03d}" / f"{number:06d}.wav", wave, 16000, "PCM_16")


def peak_memory() -> float:
    """Of this process, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, where what getrusage tells is inherited from the parent
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def growth_of(root: Path, cache: Path) -> dict[str, float]:
    """Seconds to scan, to scan again, of one batch; and memory, in this process."""
    settings = brief.settings(["data=folder", f"data.root={root}", f"data.cache={cache}"])
    laps = {}
    for name in ("scan (s)", "scan again (s)"):
        begin = time.perf_counter()
        data = build(settings)[0]
        data.setup()
        laps[name] = time.perf_counter() - begin
    batches = iter(data.train_dataloader())
    next(batches)
    begin = time.perf_counter()
    for item in itertools.islice(batches, 20):
        data.on_after_batch_transfer(item, 0)
    laps["data for a step (ms)"] = 1e3 * (time.perf_counter() - begin) / 20
    laps["peak memory (MB)"] = peak_memory()
    return laps


def growth(counts: list[int]) -> Iterator[tuple[int, dict[str, float]]]:
    """``growth_of`` synthetic collections, each in a process of its own."""
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            synthetic(Path(place) / "sounds", count)
            command = [sys.executable, "-m", "vae2ch.bench.growth", f"{place}/sounds", f"{place}/cache"]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            yield count, json.loads(printed.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(growth_of(*map(Path, sys.argv[1:]))))
