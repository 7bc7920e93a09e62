"""Text of ``python train.py --help``: usage, examples, and every setting with its default and its meaning."""

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import Field, fields, is_dataclass
from types import NoneType
from typing import Any, cast, get_args

import hydra
from omegaconf import OmegaConf

from vae2ch.cli import CONF
from vae2ch.cli.arguments import options
from vae2ch.cli.settings import register
from vae2ch.config import RunConfig, allowed_values

WIDTH, INDENT = 100, 36  # columns of the text, and before the meanings
USAGE = """\
Train a model of your sounds. Settings are written key=value, without spaces around the =.

usage: python train.py [SETTING=VALUE ...]

Examples
  python train.py data=folder data.root=/path/to/sounds preset=heavy
      train on the sounds in a folder of your own
  python train.py -m latent_dim=32,128 preset=light,heavy minutes=5 name=mine
      a sweep: one run for each combination of the values
  python train.py resume=outputs/RUN minutes=+20
      go on with a run that was interrupted, or train a finished one for longer

A path with spaces needs quotes: "data.root=/my sounds"\
"""
MORE = """\
More
  -m                                a sweep: commas separate the values of a setting
  resume=RUN                        go on with a run, given by its folder or a checkpoint of it
  -h, --help                        this text
  --cfg job                         print the settings of a run instead of running it
  --hydra-help                      options of Hydra, which reads the settings

Results are in outputs/NAME; docs/using.md describes them. Use a model: python -m vae2ch --help\
"""
TITLES = {  # of groups that are no part of ``RunConfig``
    "preset": "Preset against overfitting: augmentation and weight decay",
    "experiment": "Experiments: complete settings for a purpose",
}


def print_help() -> None:
    """Print the text; a pager or ``head`` may stop reading it."""
    try:
        print(help_text(), flush=True)
    except BrokenPipeError:  # flushed again at exit, where an error would be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def help_text() -> str:
    """The whole text, in at most ``WIDTH`` columns."""
    register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        values = cast(dict[str, Any], OmegaConf.to_container(hydra.compose("config"), resolve=True))
        choices = hydra.compose("config", return_hydra_config=True).hydra.runtime.choices
    groups = {item.name: item.type for item in fields(RunConfig) if is_dataclass(item.type)}
    plain = [item for item in fields(RunConfig) if item.name not in groups]
    parts = [USAGE, section("Most used", setting_lines(plain, values))]
    for name, title in TITLES.items():
        parts.append(section(title, option_lines(name, choices.get(name))))
    for name, schema in groups.items():
        lines = [*option_lines(name, choices.get(name)), *setting_lines(fields(schema), values[name], f"{name}.")]
        parts.append(section((schema.__doc__ or "").rstrip("."), lines))
    return "\n\n".join([*parts, MORE])


def section(title: str, lines: Iterable[str]) -> str:
    """Lines below a title."""
    return "\n".join([title, *lines])


def option_lines(group: str, default: str | None) -> Iterator[str]:
    """A line or more for each option of a group, if it has any: the first comment of its file."""
    for name in options().get(group, ()):
        comments = (CONF / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        meaning = next(line for line in comments if line.startswith("# ") and "@package" not in line)
        yield described(f"{group}={name}", meaning.removeprefix("# ") + (" (default)" if name == default else ""))


def setting_lines(items: Any, values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """A line or more for each setting: its key, default and meaning, and what is allowed."""
    for item in items:
        allowed = allowed_text(item)
        meaning = item.metadata["meaning"] + (f" ({allowed})" if allowed else "")
        yield described(f"{prefix}{item.name}={value_text(values[item.name])}", meaning)


def allowed_text(item: Field) -> str:
    """The values of a setting that are allowed, ``null`` among them where it has a meaning."""
    types = get_args(item.type) or (item.type,)
    allowed = "true, false" if bool in types else re.sub(r"\.0\b", "", allowed_values(item))
    return f"{allowed}, or null" if allowed and NoneType in types else allowed


def value_text(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def described(name: str, meaning: str) -> str:
    """A name and its meaning in a column beside it, or below it if the name is long."""
    lines = textwrap.wrap(meaning, WIDTH - INDENT, break_on_hyphens=False)
    first = f"  {name}".ljust(INDENT)
    start = [first + lines.pop(0)] if len(first) == INDENT and first.endswith(" ") else [first.rstrip()]
    return "\n".join(start + [" " * INDENT + line for line in lines])
