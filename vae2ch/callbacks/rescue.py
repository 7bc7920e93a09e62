"""What a run has learnt is kept when it is interrupted."""

from pathlib import Path

import lightning
from lightning.pytorch.trainer.states import TrainerFn

from vae2ch.training import VAEModule


class Rescue(lightning.Callback):
    """Saves ``last.ckpt`` on Ctrl-C in training, at whatever step; not on an error, which may have spoilt the weights.

    Args:
        path: of the checkpoint
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(self, trainer: lightning.Trainer, module: VAEModule, exception: BaseException) -> None:
        """Save, if there is something to save: in the test it has been, and the weights are the best ones'."""
        if isinstance(exception, KeyboardInterrupt) and trainer.state.fn == TrainerFn.FITTING and trainer.global_step:
            module.settle()
            trainer.save_checkpoint(self.path)
