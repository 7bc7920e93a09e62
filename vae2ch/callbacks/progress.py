"""One progress bar for the whole training, with the time left, and a line for each validation."""

import time

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from vae2ch.training import training_progress

SHOWN_TERMS = ("loss", "magnitude", "frequency", "kl")
FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed} elapsed, {remaining} left{postfix}"


class Progress(ProgressBar):
    """Progress bar in percent of the run, by steps or by time, whichever ends it first."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = tqdm(disable=True)
        self.begin = time.perf_counter()
        self.best = float("inf")
        self.enabled = True

    def disable(self) -> None:
        """Show nothing; Lightning calls this in all processes but the first."""
        self.enabled = False

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        options = {"bar_format": FORMAT, "mininterval": 0.5, "disable": not self.enabled, "leave": False}
        self.bar = tqdm(desc="training", total=100.0, **options)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: object) -> None:
        if self.bar.disable:
            return
        if trainer.global_step == 1:
            self.bar.write(f"first step after {time.perf_counter() - self.begin:.1f} s of preparation")
        self.bar.update(100 * training_progress(trainer) - self.bar.n)
        if trainer.global_step % 10 == 0:
            self.bar.set_postfix_str(f" step {trainer.global_step}, loss {trainer.callback_metrics['train/loss']:.3f}")

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.sanity_checking or self.bar.disable:
            return
        metrics = {name: float(trainer.callback_metrics[f"val/{name}"]) for name in SHOWN_TERMS}
        mark = "  best" if metrics["loss"] < self.best else ""
        self.best = min(self.best, metrics["loss"])
        terms = "  ".join(f"{name} {value:7.3f}" for name, value in metrics.items())
        self.bar.write(f"epoch {trainer.current_epoch:3d}  step {trainer.global_step:5d}  validation: {terms}{mark}")

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.bar.close()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the error is printed on a line of its own."""
        self.bar.close()
