"""What ends a training: its time, or a validation loss that no longer falls."""

from datetime import timedelta

from lightning import Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer


class Clock(Timer):
    """Time limit of the training, over all its sessions, in minutes."""

    def __init__(self, minutes: float) -> None:
        super().__init__(timedelta(minutes=minutes), verbose=False)

    def on_fit_start(self, trainer: Trainer, *args: object, **options: object) -> None:
        """Leave out Timer's check, so that a run whose time is used up still gets its last validation."""


class Patience(EarlyStopping):
    """End of the training after a number of epochs without a lower validation loss; counted anew if ``extended``."""

    def __init__(self, epochs: int, extended: bool) -> None:
        super().__init__("val/loss", patience=epochs, check_finite=False)
        self.extended = extended

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore all but the number of epochs, which may have been changed."""
        super().load_state_dict(state_dict | {"patience": self.patience})
        if self.extended:
            self.wait_count = self.stopped_epoch = 0


def fell_at_the_end(trainer: Trainer) -> bool:
    """Whether the last validation loss was the lowest, so that more training is likely to lower it."""
    stopping = next(callback for callback in trainer.callbacks if isinstance(callback, Patience))
    return stopping.wait_count == 0
