"""The Lightning Trainer of a run, with its loggers and callbacks."""

import logging
import warnings
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vae2ch.callbacks import collapse, hparams, interrupt, media, progress, projector, report, scores
from vae2ch.config import RunConfig
from vae2ch.errors import InputError

EXPECTED_WARNINGS = (  # of Lightning, about things that are as intended
    ".*does not have many workers.*",
    ".*(Experiment logs|Checkpoint) directory .* exists and is not empty.*",
    ".*The number of training batches .* is smaller than the logging.*",
    ".*isinstance.treespec, LeafSpec.*",
)


def silence_lightning() -> None:
    """Leave out Lightning's banner and warnings about things that are as intended, in this process."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def build_callbacks(config: RunConfig, folder: Path) -> list[lightning.Callback]:
    """All callbacks of a run. The order matters in the test: scores are logged before they are written."""
    checkpoints = {"dirpath": folder / "checkpoints", "enable_version_counter": False}
    return [
        progress.Progress(),
        EarlyStopping("val/loss", patience=config.training.patience, check_finite=False),
        ModelCheckpoint(filename="best", monitor="val/loss", save_weights_only=True, **checkpoints),
        ModelCheckpoint(filename="last", **checkpoints),
        media.TensorBoardMedia(config.media.sounds, config.seed),
        projector.LatentProjector(),
        scores.ReconstructionScores(),
        report.Report(folder, config.media.sounds, config.seed),
        hparams.HyperparameterRow(config),
        collapse.CollapseWarning(),
        interrupt.SaveOnInterrupt(folder / "checkpoints" / "last.ckpt"),
    ]


def build_trainer(config: RunConfig, folder: Path) -> lightning.Trainer:
    """The Trainer of a run in ``folder``. Raises ``InputError`` if accelerator or precision are not available."""
    place = {"name": "", "version": ""}  # in the folder itself
    try:
        return lightning.Trainer(
            **asdict(config.trainer),
            max_time=None if config.minutes is None else timedelta(minutes=config.minutes),
            logger=[TensorBoardLogger(folder, default_hp_metric=False, **place), CSVLogger(folder, **place)],
            callbacks=build_callbacks(config, folder),
            use_distributed_sampler=False,  # EpochSampler gives each process its share
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise InputError(f"trainer: {error}") from None
