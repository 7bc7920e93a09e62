"""What a run has learnt is kept when it is interrupted."""

from pathlib import Path

import lightning


class Rescue(lightning.Callback):
    """Saves ``last.ckpt`` on Ctrl-C, at whatever step; not on an error, which may have spoilt the weights.

    Args:
        path: of the checkpoint
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Save, if there is something to save."""
        if isinstance(exception, KeyboardInterrupt) and trainer.global_step:
            trainer.save_checkpoint(self.path)
