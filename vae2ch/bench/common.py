"""Arguments, settings, finished runs, training without files, and tables, for all measurements."""

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from vae2ch.cli import hardware, preset
from vae2ch.cli.commands import Parser
from vae2ch.cli.hydra_errors import as_input_errors
from vae2ch.cli.messages import exit_on_error
from vae2ch.cli.paths import quote_path
from vae2ch.cli.resume import folder_of
from vae2ch.cli.run import build
from vae2ch.cli.settings import compose
from vae2ch.cli.trainer import silence_lightning
from vae2ch.codec import SoundCodec
from vae2ch.config import RunConfig
from vae2ch.data import SoundDataModule
from vae2ch.data.dataset import evenly_spaced
from vae2ch.data.summary import read_csv
from vae2ch.errors import InputError
from vae2ch.training import CodecTraining


def plain_parser(name: str, description: str, example: str) -> Parser:
    """Parser of a measurement without arguments; its help ends with an example of them."""
    program = f"python -m vae2ch.bench.{name}"
    return Parser(prog=program, description=description, epilog=f"example: {program} {example}")


def add_numbers(parser: Parser, *options: tuple[str, int, str]) -> None:
    """Add options that take a number: name, default and meaning of each. It may be 0 if the default is."""
    for name, default, meaning in options:
        text = f"{meaning}; default: {default}"
        parser.add_argument(f"--{name}", metavar="N", type=integer_from(min(1, default)), default=default, help=text)


def integer_from(lowest: int) -> Callable[[str], int]:
    """Type of an argument that is an integer and at least ``lowest``."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text} is no integer from {lowest}")
        return int(text)

    return parse


def positive_number(text: str) -> float:
    """Type of an argument that is a number above 0 and finite."""
    with suppress(ValueError):
        if 0 < (value := float(text)) < math.inf:
            return value
    raise argparse.ArgumentTypeError(f"{text} is no number above 0")


def build_parser(name: str, description: str, example: str) -> Parser:
    """Parser of the arguments that most measurements have: ``[--data DIR] [OVERRIDES]``."""
    parser = plain_parser(name, description, example)
    parser.add_argument("--data", metavar="DIR", help="folder of sounds; the built-in notes if not given")
    parser.add_argument("overrides", metavar="OVERRIDES", nargs="*", help="settings, as for train.py")
    return parser


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print errors in the arguments or the sounds as one line, and exit."""
    with exit_on_error(), as_input_errors(sys.argv[1:]):
        yield


def settings(folder: str | None, overrides: Sequence[str]) -> RunConfig:
    """Settings for this machine and this collection; torch gets the cores that it may use."""
    hardware.limit_threads()
    source = ["data=folder", f"data.root={folder}"] if folder is not None else []
    overrides = ["name=bench", *map(quote_path, [*source, *overrides])]
    config = compose(overrides)
    data = SoundDataModule(config.data, config.augment, config.representation, config.seed)
    data.setup()
    return hardware.resolve(preset.resolve(config, data.suitable_preset()))


def load(run: Path, config: RunConfig) -> tuple[SoundCodec, SoundDataModule]:
    """A finished run and its data, split as it was; ``InputError`` for other sounds or another representation."""
    codec = SoundCodec.load(run)
    codec.autocast_dtype = hardware.autocast_dtype("cpu")
    for name, value in asdict(codec.config.representation).items():
        if (given := getattr(config.representation, name)) != value:
            raise InputError(f"{run} was trained with representation.{name}={value}, not {given}; give its settings")
    data, _ = build(config)
    data.earlier = read_csv(folder_of(run) / "sounds.csv")
    data.setup()
    splits = {sound.name: split for split, sounds in data.collection.splits.items() for sound in sounds}
    if splits != {name: row.split for name, row in data.earlier.items() if not row.removed}:
        raise InputError(f"{run} was trained on other sounds; give its --data and data.limit")
    return codec, data


def fit(
    config: RunConfig,
    module: CodecTraining,
    data: SoundDataModule,
    steps: int,
    minutes: float | None = None,
    callbacks: Sequence[lightning.Callback] = (),
) -> lightning.Trainer:
    """Train for some steps or minutes, without validation, files and progress bar; returns the trainer."""
    silence_lightning()
    hardware.keep_freed_memory()
    limit = minutes and timedelta(minutes=minutes)
    options: dict[str, Any] = {"max_epochs": 100_000, "max_steps": steps, "max_time": limit}
    unused = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    options |= {"limit_val_batches": 0, "callbacks": list(callbacks), **dict.fromkeys(unused, False)}
    trainer = lightning.Trainer(**asdict(config.trainer) | options)
    trainer.fit(module, datamodule=data)
    return trainer


def segments(data: SoundDataModule, split: str, count: int) -> tuple[Tensor, list[int], list[str]]:
    """At most ``count`` segments of a split, evenly spaced: waveforms [N, L], lengths without padding, labels."""
    chosen = evenly_spaced(count, len(data.datasets[split]))
    items = [data.datasets[split][index] for index in chosen]
    labels = [data.label(split, index) for index in chosen]
    return torch.stack([item.wave for item in items]), [int(item.samples) for item in items], labels


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
