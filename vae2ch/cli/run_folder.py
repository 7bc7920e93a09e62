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
WRITTEN_BEFORE_TRAINING = {".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", ".lock", "run.json"}


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
                folder.mkdir(exist_ok=reuse)
                break
        return str(folder)
    except OSError as error:
        raise InputError(f"cannot write to {parent}: {error.strerror}") from None


def remove_unused(folder: Path) -> None:
    """Remove the folder of a run that never began; a folder that holds anything else is left as it is."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not found <= WRITTEN_BEFORE_TRAINING:
        return
    for name in found:
        (folder / name).unlink()
    for place in (folder / ".hydra", folder):
        with contextlib.suppress(OSError):
            place.rmdir()


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
