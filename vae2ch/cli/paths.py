"""Paths on the command line: quoted, so that Hydra and OmegaConf read a folder's name as it is."""

import os
import re
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from vae2ch.errors import InputError
from vae2ch.files import expand_home, is_literal

PATH_SETTING = re.compile(r"(\+{0,2}(?:data\.root|data\.cache|start|name)=)(.*)", re.DOTALL)
HYDRA_SYNTAX = re.compile(r"['\"\[$].*|null|\w+\(.*\)", re.DOTALL)  # left to Hydra if no path has this name
INTERPOLATION = re.compile(r"(\\*)\$\{")


def quote_path(argument: str, sweep: bool = False) -> str:
    """Quote the path of a setting such as ``data.root=über [1]``; other arguments are returned as they are.

    A path that exists is taken literally. In a sweep a comma separates paths, unless the whole is one that exists.
    """
    found = PATH_SETTING.fullmatch(argument)
    if not found:
        return argument
    key, text = found.groups()
    if is_literal(text):
        return key + literal(text)
    if sweep and "," in text:
        return key + ",".join(map(quote_part, text.split(",")))
    return argument if HYDRA_SYNTAX.fullmatch(text) else key + quoted(text)


def quote_part(text: str) -> str:
    """One of several paths that commas separate, quoted if it exists, with or without the spaces around it."""
    return next((literal(path) for path in (text, text.strip()) if is_literal(path)), text)


def literal(path: str) -> str:
    """A path as a value that neither Hydra nor OmegaConf changes."""
    return quoted(INTERPOLATION.sub(lambda found: rf"{2 * found[1]}\${{", path if path != "???" else "./???"))


def quoted(text: str) -> str:
    """Text as a value in Hydra's grammar, in quotes only where they are needed."""
    try:
        (plain,) = OverridesParser.create().parse_overrides([f"key={text}"])
        if plain.value() == text and isinstance(plain.value(), str):
            return text
    except HydraException:
        pass
    return QuotedString(text, Quote.double).with_quotes()


def unquoted(text: str) -> Path:
    """The path that is called so, or else what it is in Hydra's grammar. Raises ``InputError``, or Hydra's errors."""
    if not is_literal(text) and text[:1] in ("'", '"'):
        (override,) = OverridesParser.create().parse_overrides([f"key={text}"])
        text = str(override.value())
    if not text.strip() and not os.path.lexists(text):
        raise InputError("resume= is empty; give a run's folder, as in resume=outputs/RUN")
    return expand_home(text)
