"""What the measurements share: settings without a command line, and a short training without its ceremony."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import lightning
from hydra import compose, initialize_config_dir

from vae2ch import commandline, config, hardware
from vae2ch.data import SoundDataModule
from vae2ch.run import quieten
from vae2ch.training import VAEModule

CONF = Path(__file__).parents[2] / "conf"


def settings(overrides: Iterable[str] = ()) -> dict:
    """The settings of ``train.py`` with some overrides, as a plain dict."""
    commandline.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return config.check(compose("config", ["name=bench", *overrides]))


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
