"""The environment of both programs, prepared before torch and matplotlib are imported; child processes inherit it."""

import getpass
import io
import logging
import os
import select
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any


def prepare() -> None:
    """Let the programs run in any shell, container or notebook, without warnings of the libraries; may be repeated."""
    protect_streams()
    os.environ["MPLBACKEND"] = "agg"  # images are drawn into memory; the backend of a notebook may not be installed
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # warns where its folder for caches cannot be written
    with suppress(OSError):  # the run then says what it cannot write
        os.environ["TMPDIR"] = temporary_folder()
        if os.path.expanduser("~") == "~":  # in a container: an unknown user without HOME
            os.environ["HOME"] = os.environ["TMPDIR"]
    try:
        getpass.getuser()  # torch asks for it when it is imported
    except (KeyError, OSError):  # since Python 3.13 the latter
        os.environ["LOGNAME"] = f"user-{os.getuid()}"


def temporary_folder() -> str:
    """Python's choice of a folder that can be written to, else one beside the runs. Raises ``OSError``."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        folder = Path("outputs", ".cache").absolute()
        folder.mkdir(exist_ok=True)
        tempfile.tempdir = str(folder)
        return tempfile.tempdir


class LastingFile(io.FileIO):
    """A file that takes everything: what cannot be written, as to a closed pipe or a full disk, is dropped."""

    def write(self, data: Any) -> int:
        try:
            while (written := super().write(data)) is None:  # a terminal that does not block
                select.select([], [self], [])
            return written
        except OSError:
            return memoryview(data).nbytes


def protect_streams() -> None:
    """Let printing never fail: whatever the encoding of the terminal, and also if it is closed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file would get this number, and what libraries print
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", errors="replace"))
        elif isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):  # not that of a notebook
            setattr(sys, name, lasting(stream))


def lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """A stream to the same file that takes any text; characters without a code are written as escapes."""
    if sys.platform == "win32":  # a console takes text rather than bytes
        stream.reconfigure(errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(LastingFile(stream.fileno(), "w", closefd=False)),
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
