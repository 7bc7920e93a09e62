"""Progress of training, validation and test, and a line for each validation."""

import time

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.trainer.states import TrainerFn

from vae2ch.data import Batch
from vae2ch.terminal import ProgressDisplay, say
from vae2ch.training.schedule import training_progress

SHOWN_TERMS = ("loss", "magnitude", "frequency", "kl")


class Progress(ProgressBar):
    """Percent of the training, by steps or by time, whichever ends it first; segments of validation and test."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = time.perf_counter()
        self.lowest = float("inf")
        self.enabled = True
        self.training = self.held_out = ProgressDisplay("", 1, "", enabled=False)

    def disable(self) -> None:
        """Show nothing; Lightning calls this in all processes but the first."""
        self.enabled = False

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.first_step = trainer.global_step + 1
        self.lowest = trainer.checkpoint_callback.lowest  # of a resumed run
        self.training = ProgressDisplay("training", 100.0, "%", self.enabled)
        self.training.start_at(100 * training_progress(trainer))

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: object) -> None:
        if not self.enabled:
            return
        if trainer.global_step == self.first_step:
            say(f"first step after {time.perf_counter() - self.begin:.1f} s of preparation")
        loss = float(trainer.callback_metrics["train/loss"])
        self.training.show(100 * training_progress(trainer), f"step {trainer.global_step}, loss {loss:.3f}")

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.begin_held_out("validating", trainer, "validation", trainer.num_val_batches)

    def on_test_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.begin_held_out("testing", trainer, "test", trainer.num_test_batches)

    def begin_held_out(self, task: str, trainer: Trainer, split: str, batches: list[int | float]) -> None:
        """Begin to count the segments of a validation or test."""
        data = trainer.datamodule
        segments = min(len(data.datasets[split]), int(sum(batches)) * data.data.batch_size)
        self.held_out = ProgressDisplay(task, segments, "segments", self.enabled)
        self.seen_segments = 0

    def count_held_out(self, batch: Batch) -> None:
        """Count the segments of a batch."""
        self.seen_segments += len(batch.index)
        self.held_out.show(self.seen_segments)

    def on_validation_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: None, batch: Batch, *_: object
    ) -> None:
        self.count_held_out(batch)

    def on_test_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: None, batch: Batch, *_: object
    ) -> None:
        self.count_held_out(batch)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.held_out.close()
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING or not self.enabled:
            return
        metrics = {name: float(trainer.callback_metrics[f"val/{name}"]) for name in SHOWN_TERMS}
        mark = "  best" if metrics["loss"] < self.lowest else ""
        self.lowest = min(self.lowest, metrics["loss"])
        terms = "  ".join(f"{name} {value:7.3f}" for name, value in metrics.items())
        say(f"epoch {trainer.current_epoch:3d}  step {trainer.global_step:5d}  validation: {terms}{mark}")

    def on_test_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.held_out.close()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.training.close()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Close the bars, so that the error is printed on a line of its own."""
        self.training.close()
        self.held_out.close()
