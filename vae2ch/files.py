"""Files that are replaced as a whole: after a crash or on a full disk the old or the new one is there, never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vae2ch.errors import InputError

UNFINISHED_SUFFIX = ".part"  # of a file that is being written


@contextmanager
def replacing(path: Path, keep: Path | None = None) -> Iterator[BinaryIO]:
    """Yield a file that becomes ``path`` at the end, once its bytes are on the disk; at an error ``path`` is unchanged.

    It is written in the same folder, as a rename to another file system is not atomic. What ``path`` was before is
    renamed to ``keep``, if that is given. Raises ``OSError``.
    """
    short = path.name.encode(errors="replace")[:200].decode(errors="ignore")  # a name may have 255 bytes
    unfinished = path.with_name(short + UNFINISHED_SUFFIX)
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep and path.exists():
            os.replace(path, keep)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    sync_folder(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Replace the contents of a file by ``text``, in UTF-8. Raises ``OSError``."""
    with replacing(path) as file:
        file.write(text.encode(errors="surrogateescape"))


def is_literal(path: str) -> bool:
    """Whether something has this path, or the folder that it would be in, whatever ``~`` and ``$`` may mean in it."""
    folder, name = os.path.split(path)
    return os.path.lexists(path) or ("${" not in name and os.path.isdir(folder))


def expand_home(path: str) -> Path:
    """A path that exists as it is, others with ``~`` expanded. Raises ``InputError`` if there is no such user."""
    try:
        return Path(path) if is_literal(path) else Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such user; give a path without ~") from None


def file_name(text: str) -> str:
    """A text as the name of a file, which is UTF-8 in every locale, like names from elsewhere."""
    return os.fsdecode(text.encode(errors="surrogateescape"))


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
