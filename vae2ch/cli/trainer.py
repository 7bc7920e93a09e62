"""The Lightning Trainer of a run, with its loggers and callbacks."""

import logging
import warnings
from dataclasses import asdict
from pathlib import Path

import lightning
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vae2ch.callbacks import checkpoints, collapse, hparams, limits, media, progress, projector, report, scores
from vae2ch.callbacks.logs import EventLog, MetricsTable
from vae2ch.callbacks.signals import Signals
from vae2ch.config import RunConfig
from vae2ch.errors import InputError
from vae2ch.training.checkpoint_io import DurableCheckpointIO

EXPECTED_WARNINGS = (  # of Lightning, about things that are as intended
    ".*does not have many workers.*",
    ".*(Experiment logs|Checkpoint) directory .* exists and is not empty.*",
    ".*The number of training batches .* is smaller than the logging.*",
    ".*isinstance.treespec, LeafSpec.*",
)


def silence_lightning() -> None:
    """Leave out Lightning's banner and warnings about things that are as intended, in this process."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)


def build_callbacks(config: RunConfig, folder: Path, signals: Signals, extended: bool) -> list[lightning.Callback]:
    """All callbacks of a run. The order matters in the test: scores are logged before they are written."""
    clock = [] if config.minutes is None else [limits.Clock(config.minutes)]
    return [
        *clock,
        progress.Progress(),
        limits.Patience(config.training.patience, extended),
        media.TensorBoardMedia(config.media.sounds, config.seed),
        projector.LatentProjector(folder),
        scores.ReconstructionScores(),
        report.Report(folder, config.media.sounds, config.seed),
        hparams.HyperparameterRow(config),
        collapse.CollapseWarning(),
        checkpoints.Checkpoints(folder / "checkpoints", config.save_minutes, signals, extended),
    ]


def build_trainer(
    config: RunConfig, folder: Path, signals: Signals | None = None, extended: bool = False
) -> lightning.Trainer:
    """The Trainer of a run in ``folder``; ``extended`` if the run had reached its end and is trained on.

    Raises ``InputError`` if accelerator or precision are not available.
    """
    try:
        return lightning.Trainer(
            **asdict(config.trainer),
            logger=[EventLog(folder), MetricsTable(folder / "metrics.csv")],
            callbacks=build_callbacks(config, folder, signals or Signals(), extended),
            plugins=[DurableCheckpointIO()],
            use_distributed_sampler=False,  # EpochSampler gives each process its share
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise InputError(f"trainer: {error}") from None
