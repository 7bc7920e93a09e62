"""Files of the world, written once by several processes."""

import itertools
import multiprocessing
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from vae2ch import audio
from vae2ch.data.world.curves import RATE
from vae2ch.data.world.sound import describe, generator, render
from vae2ch.errors import InputError
from vae2ch.files import UNFINISHED_SUFFIX
from vae2ch.terminal import ProgressDisplay

VERSION = 1  # in the names of the files; raised when a change of the code changes the sounds
RECORDED = "recorded"  # folder beside the sounds, for other sound files that are read with them
NAME = re.compile(rf"v\d+-s\d+-\d+-\w+\.wav(?:{re.escape(UNFINISHED_SUFFIX)})?")
CHUNK = 50  # sounds that a process renders at a time
MIN_FOR_PROCESSES = 8 * CHUNK  # fewer sounds take less time than processes take to start

# variables of OpenBLAS, and of glibc's malloc, which by default gives large arrays back to the system each time
CHILD_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}


def file_name(seed: int, number: int) -> str:
    """File name of a sound, with its family."""
    return f"v{VERSION}-s{seed}-{number:06d}-{describe(generator(seed, number)).family}.wav"


def write(root: Path, seed: int, count: int, processes: int = 1) -> list[Path]:
    """Write those of the first ``count`` sounds that ``root`` lacks, and return the paths of all.

    Raises ``InputError`` if the folder holds anything but sounds of worlds, or cannot be written.
    """
    found = {path.name for path in root.glob("*") if not path.name.startswith(".")}
    if others := [name for name in found if not NAME.fullmatch(name) and name != RECORDED]:
        raise InputError(
            f"data.root: {audio.printable(root)} holds {audio.printable(Path(min(others)))}, which is no sound of "
            "data=world; for sounds of your own add data=folder"
        )
    names = [file_name(seed, number) for number in range(count)]
    missing = [number for number, name in enumerate(names) if name not in found]
    progress, done = ProgressDisplay("rendering", len(missing), "sounds"), 0
    for chunk in rendered(root, seed, missing, processes):
        done += chunk
        progress.show(done)
    progress.close()
    return [root / name for name in names]


def rendered(root: Path, seed: int, numbers: Sequence[int], processes: int) -> Iterator[int]:
    """Write sounds, and yield how many more are written. Raises ``InputError`` if one cannot be written."""
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    if processes == 1 or len(numbers) < MIN_FOR_PROCESSES:
        yield from map(write_chunk, itertools.repeat(root), itertools.repeat(seed), chunks)
        return
    # spawned, as a fork copies locks that the threads of torch hold
    with processes_for_arrays(), ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(write_chunk, root, seed, chunk) for chunk in chunks]):
                yield future.result()
        except BrokenProcessPool:
            raise InputError(f"a process that rendered {root} was ended by the system; start again to go on") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def processes_for_arrays() -> Iterator[None]:
    """Let the processes that start now compute with one thread each, and keep the memory that they free."""
    before = {name: os.environ.pop(name) for name in CHILD_ENVIRONMENT if name in os.environ}
    os.environ.update(CHILD_ENVIRONMENT)
    try:
        yield
    finally:
        for name in CHILD_ENVIRONMENT:
            os.environ.pop(name)
        os.environ.update(before)


def write_chunk(root: Path, seed: int, numbers: Sequence[int]) -> int:
    """Render and write sounds, and return how many. Raises ``InputError`` if one cannot be written."""
    for number in numbers:
        audio.write(root / file_name(seed, number), render(seed, number), RATE, "PCM_16", result=True)
    return len(numbers)
