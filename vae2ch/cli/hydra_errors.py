"""One-line explanations of Hydra's and OmegaConf's errors: what is wrong, where, what is allowed."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from vae2ch import config
from vae2ch.errors import InputError, suggest

QUOTING_EXAMPLE = """'data.root="/a=b,c"'"""


@contextmanager
def as_input_errors(arguments: Sequence[str]) -> Iterator[None]:
    """Turn Hydra's errors into ``InputError``; messages quote the ``arguments`` of the command line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from None
    except ValueError as error:  # raised by Hydra for data=null or data=3
        if "Config group override" not in str(error):
            raise
        given = ", ".join(text for text in arguments if re.match(r"\w+=", text))
        raise InputError(f"{given}: a group takes the name of one of its options; --help lists them") from None


def explain(error: Exception) -> str:
    """Message for one of Hydra's or OmegaConf's errors."""
    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, InputError):
            return str(cause)
    if isinstance(error, OverrideParseException):
        reason = "a quote, a bracket or ${ is not closed, or a value with = or , has no quotes"
        return f"{error.override} cannot be read: {reason}, as in {QUOTING_EXAMPLE}"
    if isinstance(error, InterpolationResolutionError):
        return unresolved(error)
    text = "\n".join(dict.fromkeys(str(cause) for cause in causes))
    if isinstance(error, MissingConfigException) and (found := re.search(r"Could not find '([^']+)'", text)):
        return unknown_option(found[1], text)
    if found := re.search(r"Key '[^']+' (?:is )?not in '\w+'\s+full_key: (\S+)", text):
        return unknown_setting(found[1])
    if found := re.search(r"Error merging override (\S+)", text):
        reason = next((str(cause).splitlines()[0] for cause in causes if isinstance(cause, OmegaConfBaseException)), "")
        return f"{found[1]}: {reason}"
    if "override" in text:
        lines = " ".join(line for line in text.splitlines() if "https://" not in line)
        return f"{lines} (settings are written key=value; a value with = or , needs quotes: {QUOTING_EXAMPLE})"
    return str(error)


def unresolved(error: InterpolationResolutionError) -> str:
    """Message for a setting whose value refers by ``${}`` to something that is not there."""
    key = "name" if error.full_key in ("hydra.run.dir", "hydra.sweep.dir") else error.full_key
    text = str(error).splitlines()[0]
    if found := re.search(r"Environment variable '(.*)' not found", text):
        text = f"the environment variable {found[1]} is not set; set it, or give another value in its place"
    return f"{key}: {text}"


def unknown_option(name: str, text: str) -> str:
    """Message for a missing option ``GROUP/OPTION``; the text lists the group's options, indented by tabs."""
    group, _, option = name.rpartition("/")
    options = [line.strip() for line in text.split("Config search path")[0].splitlines() if line.startswith("\t")]
    return f"{group}={option}: {suggest(option, options)}" if options else f"{name}: there is no such option"


def unknown_setting(key: str) -> str:
    """Message for a key that the schema does not have."""
    known = sorted(config.keys(config.RunConfig))
    parent = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    return f"unknown setting {key}; {suggest(key, siblings or known)}"
