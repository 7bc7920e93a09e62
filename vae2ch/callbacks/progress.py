"""One progress bar for the whole run, with the time left, and a line for each validation."""

import time

import lightning
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from vae2ch.training import budget_spent

SHOWN = ("loss", "magnitude", "frequency", "kl")


class Progress(ProgressBar):
    """Counts in percent of the run's budget (steps or minutes, whichever ends it first)."""

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm | None = None
        self.begin = time.perf_counter()
        self.best = float("inf")

    def disable(self) -> None:
        """Lightning calls it on all ranks but the first."""
        self.is_enabled = False

    def enable(self) -> None:
        """Lightning calls it on the first rank."""
        self.is_enabled = True

    is_enabled = True

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Open the bar."""
        layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"
        self.bar = tqdm(
            desc="training", total=100.0, bar_format=layout, mininterval=0.5, disable=not self.is_enabled, leave=False
        )

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: object) -> None:
        """Move the bar."""
        if self.bar.disable:
            return
        if trainer.global_step == 1:
            self.bar.write(f"first step after {time.perf_counter() - self.begin:.1f} s of preparation")
        self.bar.update(100 * budget_spent(trainer) - self.bar.n)
        if trainer.global_step % 10 == 0:
            self.bar.set_postfix_str(f" step {trainer.global_step}, loss {trainer.callback_metrics['train/loss']:.3f}")

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Print what the epoch came to."""
        if trainer.sanity_checking or self.bar is None or self.bar.disable:
            return
        metrics = {name: float(trainer.callback_metrics[f"val/{name}"]) for name in SHOWN}
        mark = "  best" if metrics["loss"] < self.best else ""
        self.best = min(self.best, metrics["loss"])
        terms = "  ".join(f"{name} {value:7.3f}" for name, value in metrics.items())
        self.bar.write(f"epoch {trainer.current_epoch:3d}  step {trainer.global_step:5d}  held out: {terms}{mark}")

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Close the bar."""
        self.bar.close()

    def on_exception(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal clean."""
        if self.bar is not None:
            self.bar.close()
