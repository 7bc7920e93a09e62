"""The run's row in TensorBoard's HPARAMS tab."""

from dataclasses import asdict
from typing import Any

import lightning
from lightning.pytorch.loggers import TensorBoardLogger

from vae2ch.config import RunConfig


def printable(value: Any) -> Any:
    """A setting, or a group of them, with escapes for what is no UTF-8 in the name of a folder."""
    if isinstance(value, dict):
        return {key: printable(part) for key, part in value.items()}
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


class HyperparameterRow(lightning.Callback):
    """Row of settings and test scores, so that runs can be compared."""

    def __init__(self, config: RunConfig) -> None:
        # The tab shows five columns, sorted by name: a star sorts the settings outside any group first.
        self.row = {k if isinstance(v, dict) else f"* {k}": printable(v) for k, v in asdict(config).items()}

    def on_test_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(self.row, scores, step=trainer.global_step)
