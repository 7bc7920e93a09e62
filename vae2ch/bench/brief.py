"""What the measurements share: settings without a command line, a training without its ceremony, some sounds."""

import argparse
import csv
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import lightning
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from vae2ch import commandline, config, hardware, inference
from vae2ch.data import SoundDataModule
from vae2ch.data.collection import suited_preset
from vae2ch.data.dataset import spread
from vae2ch.refusal import Refusal
from vae2ch.run import build, quieten
from vae2ch.training import VAEModule

CONF = Path(__file__).parents[2] / "conf"


def settings(overrides: Iterable[str] = ()) -> dict:
    """The settings of ``train.py`` with some overrides, as a plain dict."""
    commandline.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return config.check(compose("config", ["name=bench", *overrides]))


def settled(overrides: list[str]) -> dict:
    """Settings; where no preset is given, with the one that suits the number of files."""
    if not any(override.startswith("preset=") for override in overrides):
        data, _ = build(settings(overrides))
        data.setup()
        overrides = [f"preset={suited_preset(data.collection.files)}", *overrides]
    return settings(overrides)


def source(folder: str | Path) -> list[str]:
    """Settings that name a folder of sounds; none, and so the built-in notes, for an empty name."""
    return ["data=folder", commandline.quoted(f"data.root={folder}")] if str(folder) else []


def arguments_of_run(description: str) -> argparse.ArgumentParser:
    """A command line that names a finished run and the data that it was trained on."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path)
    arguments.add_argument(
        "--data", default="", help="the run's folder of sounds; the built-in notes where none is given"
    )
    arguments.add_argument("overrides", nargs="*", help="the run's settings of the data, as for train.py")
    return arguments


def finished(run: Path, chosen: dict) -> tuple[VAEModule, SoundDataModule]:
    """A run's model, and the sounds that it was trained on, where the settings are those of its training.

    Raises:
        Refusal: there is no such run, or it was made with another representation or another split
    """
    hardware.keep_memory()  # as the commands do
    module = inference.load(run)
    for name, value in module.hparams.representation.items():
        if chosen["representation"][name] != value:
            raise Refusal(
                f"{run} has representation.{name}={value}, not {chosen['representation'][name]}; give its own"
            )
    data, _ = build(chosen)
    data.setup()
    listed = run / "sounds.csv"
    if listed.is_file() and splits(listed) != {
        sound.name: split for split, sounds in data.collection.splits.items() for sound in sounds
    }:
        raise Refusal(f"{run} split its sounds otherwise; give its own seed, data.validation, data.test and data.limit")
    return module, data


def splits(listed: Path) -> dict[str, str]:
    """The split of each file that a run's ``sounds.csv`` names."""
    with listed.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["split"] for row in csv.DictReader(file) if row["split"] != "refused"}


def fit(
    module: VAEModule, data: SoundDataModule, minutes: float | None, steps: int = -1, precision: str = "auto"
) -> lightning.Trainer:
    """Train for so many minutes, or steps, without validation, files or progress bar; returns the trainer."""
    quieten()
    hardware.keep_memory()
    accelerator = hardware.accelerator("auto")
    trainer = lightning.Trainer(
        max_time=None if minutes is None else timedelta(minutes=minutes),
        max_steps=steps,
        max_epochs=10_000,
        accelerator=accelerator,
        devices=1,
        precision=hardware.precision(precision, accelerator),
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(module, datamodule=data)
    return trainer


def segments(data: SoundDataModule, split: str, most: int) -> tuple[Tensor, list[int], list[str]]:
    """Waves [N, S], lengths without padding, and labels of a split's segments."""
    dataset = data.datasets[split]
    chosen = spread(most, len(dataset))
    items = [dataset[index] for index in chosen]
    labels = [data.label(split, index) for index in chosen]
    return torch.stack([item.wave for item in items]), [int(item.samples) for item in items], labels
