"""Errors in the input as one line on the standard error, with an exit status."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vae2ch.errors import InputError


class ReportedError(InputError):
    """An error whose message has been printed already."""


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print an ``InputError`` or ``OSError`` as one line and exit with status 2; at Ctrl-C with 130."""
    try:
        yield
    except ReportedError:
        raise SystemExit(2) from None
    except InputError as error:
        print(f"vae2ch: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk, missing permissions
        print(f"vae2ch: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("vae2ch: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
