"""Hydra's command line, made kind: run folders that never collide, refusals in one line."""

import argparse
import contextlib
import itertools
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae2ch import config
from vae2ch.refusal import Refusal, nearest, one_line_refusals

QUOTED = """'data.root="/a=b,c"'"""
BEFORE_TRAINING = {".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"}
PATH = re.compile(r"(data\.(?:root|cache)=)([^'\"\[$].*)", re.DOTALL)
RUN_NAME = re.compile(r"\w[\w.+-]*")


@cache
def run_folder(parent: str, name: str) -> str:
    """Make and return the folder ``parent/name``, or ``parent/name-2`` and so on where it is taken.

    Raises:
        Refusal: the name is no plain file name, or the folder can't be made
    """
    if not RUN_NAME.fullmatch(name):
        raise Refusal(f"name={name}: a run's name may have letters, digits and . _ + - and begins with no sign")
    try:
        Path(parent).mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = Path(parent, name if number == 1 else f"{name}-{number}")
            # made here, so that of two runs that start at once each has its own
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return str(folder)
    except OSError as error:
        raise Refusal(f"cannot write to {parent}: {error.strerror}") from None


def quoted(argument: str, sweep: bool = False) -> str:
    """A path as Hydra wants it: what is not plain (umlauts, brackets, ``=``) stands in quotes.

    One that is quoted already is left alone, and in a sweep one with a comma, which may be several.
    """
    found = PATH.fullmatch(argument)
    if not found or re.fullmatch(r"[\w./+-]*", found[2], re.ASCII) or found[2].startswith("~"):
        return argument
    if sweep and "," in found[2]:
        return argument
    escaped = found[2].replace('"', '\\"')
    return f'{found[1]}"{escaped}"'


def register() -> None:
    """Tell Hydra of the schema and of run folders; must come before ``hydra.main`` runs."""
    sweep = not {"-m", "--multirun"}.isdisjoint(sys.argv)
    sys.argv[1:] = [quoted(argument, sweep) for argument in sys.argv[1:]]
    config.register()
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions on instead of printing them and leaving


def refuse_distributed_sweep(settings: dict) -> None:
    """A distributed run starts its script again for each process, each of which would run the whole sweep."""
    devices = settings["trainer"]["devices"]
    if HydraConfig.get().mode == RunMode.MULTIRUN and devices > 1:
        raise Refusal(f"-m and trainer.devices={devices}: a sweep takes one device a run; use trainer.devices=1")


def explain(error: Exception) -> str:
    """One line for one of Hydra's or OmegaConf's errors: what, where, what is allowed."""
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, Refusal):
            return str(cause)
    text = "\n".join(dict.fromkeys(str(cause) for cause in causes))
    if isinstance(error, MissingConfigException) and (found := re.search(r"Could not find '([^']+)'", text)):
        group, _, option = found[1].rpartition("/")
        options = [line.strip() for line in text.split("Config search path")[0].splitlines() if line.startswith("\t")]
        return f"{group}={option}: {nearest(option, options)}" if options else f"{found[1]}: there is no such option"
    if found := re.search(r"Key '[^']+' (?:is )?not in '\w+'\s+full_key: (\S+)", text):
        known = sorted(config.keys())
        parent = found[1].rpartition(".")[0]
        beside = [key for key in known if key.rpartition(".")[0] == parent]
        return f"{found[1]} is no setting; {nearest(found[1], beside or known)}"
    if found := re.search(r"Error merging override (\S+)", text):
        reason = next((str(cause).splitlines()[0] for cause in causes if isinstance(cause, OmegaConfBaseException)), "")
        return f"{found[1]}: {reason}"
    if "override" in text or "mismatched input" in text:
        if "'~" in text or "=~" in text:
            return "~ is not understood in a setting; write $HOME in its place, as in data.root=$HOME/sounds"
        lines = [line for line in text.splitlines() if "https://" not in line]
        return f"{' '.join(lines)} (settings are written key=value; a value with = or , needs quotes: {QUOTED})"
    return str(error)


def tidy(folder: Path) -> None:
    """Remove the folder of a run that never began; one that holds anything else is left as it is."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not found <= BEFORE_TRAINING:
        return
    for name in found:
        (folder / name).unlink()
    for place in (folder / ".hydra", folder):
        with contextlib.suppress(OSError):
            place.rmdir()


@contextmanager
def job() -> Iterator[None]:
    """A run inside Hydra: what is refused leaves no empty folder, and a sweep goes on with its next run."""
    try:
        yield
    except Refusal as refusal:
        hydra = HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        tidy(folder)
        if hydra.mode == RunMode.MULTIRUN:
            print(f"vae2ch: run {hydra.job.num}: {refusal}", file=sys.stderr)
            refusal.told = True
            raise
        with one_line_refusals():
            raise


def refuse_arguments(parser: argparse.ArgumentParser, message: str) -> None:
    """In place of argparse's usage text of many lines."""
    raise Refusal(f"{message} (settings are written key=value; {Path(parser.prog).name} --help lists them)")


@contextmanager
def refusals() -> Iterator[None]:
    """Run the command line inside it: whatever is wrong with the input becomes one line, status 2."""
    argparse.ArgumentParser.error = refuse_arguments
    with one_line_refusals():
        try:
            yield
        except (HydraException, OmegaConfBaseException) as error:
            raise Refusal(explain(error)) from None
        except ValueError as error:  # Hydra's own, for data=null or data=3
            if "Config group override" not in str(error):
                raise
            given = ", ".join(text for text in sys.argv[1:] if re.match(r"\w+=", text))
            raise Refusal(f"{given}: a group takes the name of one of its options; --help lists them") from None
