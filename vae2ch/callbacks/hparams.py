"""The run's row in TensorBoard's HPARAMS tab."""

from dataclasses import asdict

import lightning
from lightning.pytorch.loggers import TensorBoardLogger

from vae2ch.config import RunConfig


class HyperparameterRow(lightning.Callback):
    """Row of settings and test scores, so that runs can be compared."""

    def __init__(self, config: RunConfig) -> None:
        # The tab shows five columns, sorted by name: a star sorts the settings outside any group first.
        self.row = {k if isinstance(v, dict) else f"* {k}": v for k, v in asdict(config).items()}

    def on_test_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        scores = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(self.row, scores, step=trainer.global_step)
