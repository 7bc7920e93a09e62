"""Answers to bad input: one clear line and a status, never a traceback."""

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Refusal(Exception):
    """Input that can't be used. The message says what, where, and what is allowed."""

    told = False  # whether it has been printed already


def nearest(name: str, choices: Iterable[str]) -> str:
    """Text that suggests the choice nearest to ``name``, and lists them all."""
    choices = list(choices)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}allowed: {', '.join(choices)}"


@contextmanager
def one_line_refusals() -> Iterator[None]:
    """Print a ``Refusal``, or what the system refused, as one line and leave with status 2; Ctrl-C with 130."""
    try:
        yield
    except Refusal as refusal:
        if not refusal.told:
            print(f"vae2ch: {' '.join(str(refusal).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk, a forbidden folder: the machine's refusal
        print(f"vae2ch: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("vae2ch: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
