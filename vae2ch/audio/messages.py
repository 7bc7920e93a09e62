"""Messages that C libraries print on the standard error, kept from the terminal."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STANDARD_ERROR = 2
MAX_BYTES = 1 << 16


@contextmanager
def captured_messages() -> Iterator[Callable[[], str]]:
    """Yield a function that returns what has been printed to the standard error's descriptor meanwhile."""
    try:
        original = os.dup(STANDARD_ERROR)
    except OSError:  # it is closed
        yield lambda: ""
        return
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)  # what does not fit is lost
    os.dup2(writer, STANDARD_ERROR)
    os.close(writer)

    def read() -> str:
        try:
            return os.read(reader, MAX_BYTES).decode(errors="replace")
        except BlockingIOError:
            return ""

    try:
        yield read
    finally:
        os.dup2(original, STANDARD_ERROR)
        os.close(original)
        os.close(reader)
