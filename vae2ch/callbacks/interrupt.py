"""Save a checkpoint when the training is interrupted."""

from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn


class SaveOnInterrupt(Callback):
    """Checkpoint saved at Ctrl-C during training; not at an error, which may have damaged the parameters."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Save if training has begun and not ended: the test runs with the best checkpoint's parameters."""
        if isinstance(exception, KeyboardInterrupt) and trainer.state.fn == TrainerFn.FITTING and trainer.global_step:
            trainer.save_checkpoint(self.path)
