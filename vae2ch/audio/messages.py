"""Messages that C libraries print, kept from the terminal."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

MAX_BYTES = 1 << 16


@contextmanager
def captured_messages(descriptors: Sequence[int]) -> Iterator[Callable[[], str]]:
    """Yield a function that returns what has been printed to file descriptors meanwhile."""
    if not descriptors:
        yield lambda: ""
        return
    flush()
    saved = {number: os.dup(number) for number in descriptors if is_open(number)}
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)  # what does not fit is lost
    for number in saved:
        os.dup2(writer, number)
    os.close(writer)

    def read() -> str:
        flush()
        try:
            return os.read(reader, MAX_BYTES).decode(errors="replace")
        except BlockingIOError:
            return ""

    try:
        yield read
    finally:
        flush()
        for number, original in saved.items():
            os.dup2(original, number)
            os.close(original)
        os.close(reader)


def is_open(descriptor: int) -> bool:
    """Whether a file descriptor is open."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def flush() -> None:
    """Flush the output that Python and the C library hold."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    if sys.platform != "win32":
        ctypes.CDLL(None).fflush(None)
