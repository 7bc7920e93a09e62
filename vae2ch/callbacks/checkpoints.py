"""When checkpoints are saved: the best after a validation, the last every few minutes and when a run ends."""

import signal
import time
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from vae2ch.callbacks.signals import Interrupted, Signals
from vae2ch.codec import CHECKPOINT_KEY, read_checkpoint
from vae2ch.errors import InputError
from vae2ch.training import CodecTraining
from vae2ch.training.checkpoint_io import BEST, LAST

NOTHING, SAVE, SAVE_AND_END = range(3)  # what is due; processes agree on the largest


class Checkpoints(Checkpoint):
    """``best.ckpt``, the weights with the lowest validation loss, and ``last.ckpt``, all that a resumed run needs.

    A save that fails, as on a full disk, is reported; training goes on, and the next save is tried when it is due.
    A run ends at a signal after the current step, or within the validation, which a resumed run starts anew.
    """

    def __init__(self, folder: Path, minutes: float, signals: Signals, extended: bool) -> None:
        self.folder, self.seconds, self.signals, self.extended = folder, 60 * minutes, signals, extended
        self.saved_at = 0.0  # time (s)
        self.saved_step = -1
        self.lowest = float("inf")  # validation loss of best.ckpt
        self.finished = False  # whether the training has reached its end

    def state_dict(self) -> dict:
        return {"finished": self.finished}

    def load_state_dict(self, state: dict) -> None:
        self.finished = bool(state["finished"]) and not self.extended

    def on_fit_start(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        """Leave out the training if it was finished before; the test follows."""
        self.lowest = stored_loss(self.folder / BEST)
        trainer.should_stop = self.finished

    def on_train_start(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        self.signals.install()  # again, as Lightning has installed its own
        self.signals.deferred = True
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step

    def on_train_batch_start(self, trainer: lightning.Trainer, module: CodecTraining, *_: object) -> None:
        """Save if it is due: here the metrics of the step before have been logged, and the next one has not begun."""
        self.save_if_due(trainer)

    def on_validation_batch_start(self, trainer: lightning.Trainer, module: CodecTraining, *_: object) -> None:
        """End at a signal; other saves wait, as the metrics of this validation would be logged again after them."""
        if trainer.state.fn == TrainerFn.FITTING:
            self.save_if_due(trainer, at_end_only=True)

    def on_validation_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        """Save the weights if the validation loss is the lowest."""
        loss = float(trainer.callback_metrics["val/loss"])
        if trainer.state.fn == TrainerFn.FITTING and loss < self.lowest and self.save(trainer, BEST):
            self.lowest = loss

    def on_train_end(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        """Save the end of the training."""
        self.finished = True
        self.save(trainer, LAST)
        self.signals.deferred = False
        if self.agreed(trainer, SAVE_AND_END if self.signals.end else NOTHING):
            raise self.interrupted()

    def on_test_start(self, trainer: lightning.Trainer, module: CodecTraining) -> None:
        self.signals.install()

    def on_exception(self, trainer: lightning.Trainer, module: CodecTraining, exception: BaseException) -> None:
        self.signals.deferred = False

    def save_if_due(self, trainer: lightning.Trainer, at_end_only: bool = False) -> None:
        """Save after a signal or when it is time. Raises ``Interrupted`` after a signal to end."""
        due = NOTHING
        if self.signals.save or time.monotonic() - self.saved_at >= self.seconds:
            due = SAVE
        if self.signals.end:
            due = SAVE_AND_END
        elif at_end_only:
            due = NOTHING
        due = self.agreed(trainer, due)
        if due and trainer.global_step > max(0, self.saved_step):
            self.signals.save = False
            self.save(trainer, LAST)
        if due == SAVE_AND_END:
            raise self.interrupted()

    def agreed(self, trainer: lightning.Trainer, due: int) -> int:
        """What is due in any process."""
        if trainer.world_size == 1:
            return due
        return int(trainer.strategy.reduce(torch.tensor(due, device=trainer.strategy.root_device), reduce_op="max"))

    def interrupted(self) -> Interrupted:
        """The end of the run; at SIGTERM if another process got the signal."""
        return Interrupted(self.signals.end or signal.SIGTERM, max(0, self.saved_step))

    def save(self, trainer: lightning.Trainer, name: str) -> bool:
        """Save a checkpoint after all that was logged before it; returns whether that succeeded."""
        for logger in trainer.loggers:
            logger.save()
        trainer.save_checkpoint(self.folder / name, weights_only=name == BEST)
        succeeded = not trainer.strategy.broadcast(trainer.strategy.checkpoint_io.failed)
        if name == LAST:
            self.saved_at = time.monotonic()
            self.saved_step = trainer.global_step if succeeded else self.saved_step
        return succeeded


def stored_loss(path: Path) -> float:
    """Validation loss of a checkpoint; infinite if there is none that can be read."""
    try:
        return float(read_checkpoint(path)[CHECKPOINT_KEY]["validation_loss"])
    except (InputError, LookupError, TypeError, ValueError):
        return float("inf")
