"""Errors in the user's input, reported as one line instead of a traceback."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Input that cannot be used. The message names what is wrong, where, and what is allowed."""


class FolderInUseError(InputError):
    """A run's folder in which another process runs."""


class TrainingError(InputError):
    """A training that cannot go on with its settings; its checkpoints are from before the error."""


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Message text with the allowed name closest to ``name``, if one is close, and all allowed names."""
    allowed = list(allowed)
    close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}allowed: {', '.join(allowed)}"


def short_text(error: Exception) -> str:
    """First sentence of an exception's message, in one line of at most 160 printable characters, or its type."""
    if isinstance(error, KeyError):
        return printable(f"{error.args[0]} is missing")
    return printable(str(error).partition(". ")[0]) or type(error).__name__


def printable(value: object) -> str:
    """Text of a value that a file holds, in one line of at most 160 characters that can be printed."""
    text = " ".join(str(value)[:1000].split())[:160]
    return "".join(character if character.isprintable() else "?" for character in text)
