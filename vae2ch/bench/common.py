"""Arguments, settings, finished runs, training without files, and tables, for all measurements."""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import lightning
import torch
from torch import Tensor

from vae2ch.cli import hardware, preset
from vae2ch.cli.commands import Parser
from vae2ch.cli.hydra_errors import as_input_errors
from vae2ch.cli.messages import exit_on_error
from vae2ch.cli.paths import quote_path
from vae2ch.cli.run import build
from vae2ch.cli.settings import compose
from vae2ch.cli.trainer import silence_lightning
from vae2ch.codec import SoundCodec
from vae2ch.config import RunConfig
from vae2ch.data import SoundDataModule
from vae2ch.data.dataset import evenly_spaced
from vae2ch.data.split import SPLITS
from vae2ch.errors import InputError
from vae2ch.training import CodecTraining


def plain_parser(name: str, description: str, example: str) -> Parser:
    """Parser of a measurement without arguments; its help ends with an example of them."""
    program = f"python -m vae2ch.bench.{name}"
    return Parser(prog=program, description=description, epilog=f"example: {program} {example}")


def add_numbers(parser: Parser, *options: tuple[str, int, str]) -> None:
    """Add options that take a number: name, default and meaning of each."""
    for name, default, meaning in options:
        parser.add_argument(f"--{name}", metavar="N", type=int, default=default, help=f"{meaning}; default: {default}")


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
    """Settings for this machine and this collection."""
    source = ["data=folder", f"data.root={folder}"] if folder is not None else []
    overrides = ["name=bench", *map(quote_path, [*source, *overrides])]
    config = compose(overrides)
    data = SoundDataModule(config.data, config.augment, config.representation, config.seed)
    data.setup()
    return hardware.resolve(preset.resolve(config, data.suitable_preset()))


def folder_of_run(run: Path) -> Path:
    """Folder of a run that is given by its folder or by one of its checkpoints."""
    return run if run.is_dir() else run.parents[1]


def load(run: Path, config: RunConfig) -> tuple[SoundCodec, SoundDataModule]:
    """A finished run and its data, unless ``config`` has another representation or split than it was trained with."""
    codec = SoundCodec.load(run)
    codec.autocast_dtype = hardware.autocast_dtype("cpu")
    for name, value in asdict(codec.config.representation).items():
        if (given := getattr(config.representation, name)) != value:
            raise InputError(f"{run} was trained with representation.{name}={value}, not {given}; give its settings")
    data, _ = build(config)
    data.setup()
    splits = {sound.name: split for split, sounds in data.collection.splits.items() for sound in sounds}
    with (folder_of_run(run) / "sounds.csv").open(newline="", encoding="utf-8") as file:
        trained = {row["file"]: row["split"] for row in csv.DictReader(file) if row["split"] in SPLITS}
    if trained != splits:
        raise InputError(f"{run} has another split; give its --data, seed, data.validation, data.test and data.limit")
    return codec, data


def fit(
    config: RunConfig, module: CodecTraining, data: SoundDataModule, steps: int, minutes: float | None = None
) -> lightning.Trainer:
    """Train for some steps or minutes, without validation, files and progress bar; returns the trainer."""
    silence_lightning()
    hardware.keep_freed_memory()
    options = {"max_epochs": 100_000, "max_steps": steps, "max_time": minutes and timedelta(minutes=minutes)}
    unused = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    options |= {"limit_val_batches": 0, **dict.fromkeys(unused, False)}
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
