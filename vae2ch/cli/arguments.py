"""Arguments of ``train.py``: mistakes in them are answered with the line that works."""

import difflib
import os
import re
import shlex
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from hydra._internal.utils import get_args_parser

from vae2ch.audio.content import SOUND_SUFFIXES
from vae2ch.cli import CONF
from vae2ch.cli.messages import programs, shell_join
from vae2ch.config import RunConfig, leaves
from vae2ch.errors import InputError

SETTING = re.compile(r"-{0,2}([\w./-]+?)\s*[=:](.*)", re.DOTALL)
HINT = "settings are written key=value; --help lists them"
FOR_HYDRA = re.compile(r"(hydra[./]|\+|[^=]*@).*=.*|~[\w.@]+(=.*)?", re.DOTALL)  # added, removed, its own settings
PATH_KEYS = ("data.root", "data.cache", "start", "resume")
# what a web page or a word processor makes of spaces, quotes, dashes and =
TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " ")
    | dict.fromkeys("\u200b\u2060\ufeff\r", "")  # of no width
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"')
    | dict.fromkeys("\u2018\u2019\u201a", "'")
    | {"\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2014": "--", "\u2212": "-"}
    | {"\uff1d": "=", "\uff0c": ",", "\uff1a": ":"}  # of East Asian width
)


def check(arguments: Sequence[str]) -> None:
    """Raise ``InputError`` if an argument is no setting, has no value, or if sounds are given that are not used."""
    reader = Reader(arguments)
    for word in reader.words:
        refuse_empty(word, sweeping=not {"-m", "--multirun"}.isdisjoint(arguments))
    if reader.unknown:
        raise InputError(reader.unknown[0])
    if reader.words != list(arguments):
        wrong = next((word for word in arguments if word not in reader.words), None)
        reason = "data.root needs data=folder or data=nsynth" if wrong is None else f"{wrong} is not understood"
        raise InputError(f"{reason}; write: {shell_join([f'{programs()}python', 'train.py', *reader.words])}")


def refuse_empty(word: str, sweeping: bool) -> None:
    """Raise ``InputError`` if a setting has no value, or an empty one among several."""
    key, equals, value = word.partition("=")
    several = sweeping and not os.path.lexists(value) and not re.search(r"['\"\[({]", value)
    empty = any(not text.strip() and not os.path.lexists(text) for text in (value.split(",") if several else [value]))
    if equals and empty:
        name = key.lstrip("+")
        subject = f"{name}= is empty" if not value.strip() else f"{word} has an empty value"
        raise InputError(f"{subject}; give a value ({meanings().get(name, '--help lists them')})")


@cache
def meanings() -> dict[str, str]:
    """Meaning of each setting by its key, and of ``resume``."""
    found = {key: item.metadata["meaning"] for key, item in leaves(RunConfig)}
    return found | {"resume": "a run's folder or a checkpoint, as in resume=outputs/RUN"}


@cache
def options() -> dict[str, list[str]]:
    """Names of the options of each group in ``conf/``."""
    groups = sorted(path for path in CONF.iterdir() if path.is_dir())
    return {group.name: sorted(path.stem for path in group.glob("*.yaml")) for group in groups}


@cache
def known_keys() -> dict[str, str]:
    """Settings and groups by their names in small letters and without separators, and by their unique last names."""
    names = [*meanings(), *options()]
    lasts = [squashed(name.rpartition(".")[2]) for name in names]
    short = {last: name for last, name in zip(lasts, names, strict=True) if lasts.count(last) == 1}
    return short | {squashed(name): name for name in names}


def squashed(name: str) -> str:
    """A name in small letters and without separators: ``latent-dim``, ``LATENT_DIM`` and ``latentDim`` are the same."""
    return re.sub(r"[-_./]", "", name).lower()


def is_path(text: str) -> bool:
    """Whether a text names what exists, or looks like a path."""
    return os.path.lexists(text) or bool(re.match(r"[~.]?[/\\]|\.\.|[A-Za-z]:\\|~\w*/|[^=]*\w/", text))


def stripped(value: str) -> str:
    """A value without the spaces before it, unless it is a path with them, or one of several."""
    return value if any(map(os.path.lexists, (value, *value.split(",")))) else value.lstrip()


class Reader:
    """Reads arguments as they were meant.

    ``words`` are the arguments to write; ``unknown`` are messages about those that cannot be read.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.words: list[str] = []
        self.unknown: list[str] = []
        self.folders: list[str] = []  # paths without a key
        self.rest = deque(plain_words(arguments))
        actions = get_args_parser()._option_string_actions
        self.takes_value = {name: action.nargs != 0 for name, action in actions.items()}
        while self.rest:
            self.read(self.rest.popleft())
        self.add_folders()

    def read(self, word: str) -> None:
        """Read one argument, and those that belong to it."""
        found = SETTING.fullmatch(word)
        if (option := word.partition("=")[0]) in self.takes_value and (word == option or option.startswith("--")):
            self.words.append(word)
            if self.takes_value[option] and word == option and self.rest:
                self.words.append(self.rest.popleft())
        elif FOR_HYDRA.fullmatch(word) and not os.path.lexists(word):
            self.words.append(word)
        elif found and found[1] in (*meanings(), *options()):
            self.assign(found[1], stripped(found[2]))
        elif (name := known_keys().get(squashed(word))) and (value := self.next_value()):
            self.assign(name, value)
        elif os.path.lexists(word):
            self.folders.append(word)
        elif found and ("=" in word or squashed(found[1]) in known_keys()):
            self.assign_unknown(word, found[1], stripped(found[2]))
        else:
            self.read_bare(word)

    def next_value(self) -> str:
        """The value in the next arguments, as in ``latent_dim 64`` and ``latent_dim = 64``, or ""."""
        if self.rest and self.rest[0] == "=":
            self.rest.popleft()
        if self.rest and (self.rest[0].startswith("=") or not self.starts_setting(self.rest[0])):
            return self.rest.popleft().removeprefix("=")
        return ""

    def starts_setting(self, word: str) -> bool:
        """Whether an argument is an option or has a key."""
        if os.path.lexists(word):
            return False
        return "=" in word or word in self.takes_value or squashed(word) in known_keys()

    def assign(self, key: str, value: str) -> None:
        """Read a setting whose key is known."""
        value = value or self.next_value()
        if key == "data" and value not in options()["data"] and is_path(value):
            self.folders.append(self.joined(value))
        elif key in options() and value.startswith("["):
            names = value.strip("[]").replace(" ", "")
            self.unknown.append(f"{key}={value}: a run takes one option; a sweep takes several, as -m {key}={names}")
        elif key in PATH_KEYS:
            self.words.append(f"{key}={self.joined(value)}")
        else:
            self.words.append(f"{key}={value}")

    def assign_unknown(self, word: str, key: str, value: str) -> None:
        """Read a setting whose key is not known as it is."""
        paths = {squashed(name): name for name in PATH_KEYS}
        name = known_keys().get(squashed(key))
        if is_path(value) and name not in (*PATH_KEYS, "data"):
            close = difflib.get_close_matches(squashed(key), paths, n=1, cutoff=0.75)
            name = paths[close[0]] if close else "data"
        if name:
            self.assign(name, value)
        elif word.startswith("-"):
            self.unknown.append(f"{word} is not understood ({HINT})")
        else:
            self.words.append(word)  # Hydra's error suggests a name

    def read_bare(self, word: str) -> None:
        """Read an argument without a key: a path, or the name of an option."""
        groups = [group for group, names in options().items() if word.lower() in names]
        if not word.startswith("-") and is_path(path := self.joined(word)):
            self.folders.append(path)
        elif len(groups) == 1:
            self.words.append(f"{groups[0]}={word.lower()}")
        elif squashed(word) in known_keys():
            self.unknown.append(f"{word} has no value ({HINT})")
        elif not word.strip():
            self.unknown.append(f"an argument is empty ({HINT})")
        elif self.words and self.words[-1].partition("=")[0] in PATH_KEYS:
            self.unknown.append(f"{word}: a path with spaces needs quotes, as in 'data.root=/my sounds'")
        else:
            self.unknown.append(f"{word} is not understood ({HINT})")

    def joined(self, path: str) -> str:
        """A path, with the next arguments if a path with spaces exists that lacks its quotes."""
        words = [path]
        for word in self.rest if not os.path.lexists(path) else ():
            words.append(word)
            if os.path.lexists(" ".join(words)):
                for _ in words[1:]:
                    self.rest.popleft()
                return " ".join(words)
        return path

    def add_folders(self) -> None:
        """Give the paths without a key, and the folder of the sounds, the settings that they need."""
        for path in dict.fromkeys(map(folder_of_sounds, self.folders)):
            if os.path.isfile(path) and not is_run(path):
                self.unknown.append(f"{path} is a file; data.root takes a folder of sounds")
            elif is_run(path):
                self.words.insert(0, f"resume={path}")
            else:
                self.words = [word for word in self.words if word not in ("data=notes", "data=folder")]
                self.words.append(f"data.root={path}")
        keys = [word.partition("=")[0].lstrip("+") for word in self.words]
        roots = [word.partition("=")[2] for word, key in zip(self.words, keys, strict=True) if key == "data.root"]
        if self.folders and len(roots) > 1:
            self.unknown.append(f"{', '.join(roots)}: a run takes one folder of sounds, as in data.root={roots[0]}")
        if roots and {"data", "data.source", "resume"}.isdisjoint(keys):
            source = "nsynth" if Path(roots[0], "nsynth-train").is_dir() else "folder"
            self.words.insert(keys.index("data.root"), f"data={source}")


def plain_words(arguments: Sequence[str]) -> Iterator[str]:
    """Arguments without the typography of a web page, and without quotes that the shell has left around them."""
    number = 0
    while number < len(arguments):
        word, count = arguments[number], 1
        typed = word == word.translate(TYPOGRAPHY) and word[:1] not in ("'", '"')
        value = word.partition("=")[2]
        if typed or any(map(os.path.lexists, (word, value, *value.split(",")))):
            yield word
        else:
            words, count = unquoted_words(arguments[number:])
            yield from words
        number += count


def unquoted_words(arguments: Sequence[str]) -> tuple[list[str], int]:
    """The first argument without typography and quotes, and how many it took until all quotes were closed."""
    for count in range(1, len(arguments) + 1):
        with suppress(ValueError):  # a quote is not closed yet
            return shlex.split(" ".join(arguments[:count]).translate(TYPOGRAPHY)), count
    return [arguments[0].translate(TYPOGRAPHY)], 1


def folder_of_sounds(path: str) -> str:
    """A path, or the folder of a sound file."""
    is_sound = os.path.splitext(path)[1].lower() in SOUND_SUFFIXES and os.path.isfile(path)
    return (os.path.dirname(path) or ".") if is_sound else path


def is_run(path: str) -> bool:
    """Whether a path is a run's folder or a checkpoint."""
    return path.endswith(".ckpt") or Path(path, "run.json").is_file()
