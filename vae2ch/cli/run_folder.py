"""Folders of runs: created when the settings are composed, removed if the run never begins."""

import contextlib
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from vae2ch.cli import processes
from vae2ch.errors import FolderInUseError, InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RUN_NAME = re.compile(r"\w[\w.+-]*")
HYDRA_FILES = {".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "multirun.yaml"}
WRITTEN_BEFORE_TRAINING = {*HYDRA_FILES, ".lock", "run.json", "sounds.csv"}
EVENTS = "events.out.tfevents."  # the beginning of the names of TensorBoard's files
CREATED: list[Path] = []  # folders, by this process


@cache  # Hydra resolves its configuration several times in a run
def create_run_folder(parent: str, name: str, reuse: bool = False) -> str:
    """Create and return ``parent/name``, or ``parent/name-2`` and so on if it exists, unless it is to be reused.

    In several processes the first one creates it. Raises ``InputError``.
    """
    if not RUN_NAME.fullmatch(name):
        raise InputError(
            f"name={name}: a run's name consists of letters, digits and . _ + -, and begins with a letter, digit or _"
        )
    return processes.shared("folder", lambda: new_folder(Path(parent), name, reuse))


def new_folder(parent: Path, name: str, reuse: bool) -> str:
    """Create a folder as ``create_run_folder``, in this process."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = Path(parent, name if number == 1 else f"{name}-{number}")
            # created at once, so that two runs that start at the same time get different folders
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                CREATED.append(folder)
                break
            if reuse and folder.is_dir():
                break
        return str(folder)
    except OSError as error:
        raise InputError(f"cannot write to {parent}: {error.strerror}") from None


def files_in(folder: Path) -> set[str]:
    """Names of all files in a folder and those in it, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def remove_unused(folder: Path) -> None:
    """Remove the folder of a run that never began; a folder that holds anything else is left as it is."""
    found = files_in(folder)
    if any(name not in WRITTEN_BEFORE_TRAINING and not name.startswith(EVENTS) for name in found):
        return
    with contextlib.suppress(OSError):
        for name in found:
            (folder / name).unlink()
        for place in (folder / ".hydra", folder):
            if place.exists():
                place.rmdir()


@contextlib.contextmanager
def removed_if_unused(folder: Path) -> Iterator[None]:
    """Remove the folder of a run after any error or signal before its first step, unless it was begun before."""
    begun_before = not files_in(folder) <= HYDRA_FILES
    try:
        yield
    except BaseException as error:
        if not begun_before and not isinstance(error, FolderInUseError) and processes.rank() == 0:
            remove_unused(folder)
        raise


@contextlib.contextmanager
def removing_unused() -> Iterator[None]:
    """Remove at the end the folders that this process has created and in which no run has begun."""
    try:
        yield
    finally:
        while CREATED:
            remove_unused(CREATED.pop())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from running in ``folder``. Raises ``FolderInUseError`` if one does.

    The lock ends with the process, however that ends.
    """
    if fcntl is None:
        yield
        return
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock, which the processes of a loader would keep
        except BlockingIOError:
            raise FolderInUseError(f"{folder} is in use by another process") from None
        except OSError:  # a file system without locks
            pass
        yield
