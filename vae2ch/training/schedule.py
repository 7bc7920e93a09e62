"""Schedules over the steps and the time of a run: learning rate and KL weight."""

import math
from dataclasses import asdict, dataclass

import lightning
from lightning.pytorch.callbacks import Timer

SCHEDULE_KEY = "schedule"  # in a checkpoint
FINAL_RATE = 0.02  # learning rate at the end of the run, as a fraction of the full rate


@dataclass(frozen=True)
class Beginning:
    """Where the schedule of a run begins: at 0, or where it had ended and was given more time."""

    step: int = 0
    seconds: float = 0.0  # of training


def schedule_state(trainer: lightning.Trainer, beginning: Beginning) -> dict:
    """Plain numbers for a checkpoint: where the schedule has begun, and where it is now."""
    clock = clock_of(trainer)
    now = Beginning(trainer.global_step, clock.time_elapsed() if clock else 0.0)
    return {"beginning": asdict(beginning), "now": asdict(now)}


def clock_of(trainer: lightning.Trainer) -> Timer | None:
    """The callback that limits the time, if there is one."""
    return next((callback for callback in trainer.callbacks if isinstance(callback, Timer)), None)


def training_progress(trainer: lightning.Trainer, beginning: Beginning = Beginning()) -> float:
    """Fraction of the run since ``beginning`` that is over, by steps or time, whichever is larger; in [0, 1]."""
    steps = trainer.estimated_stepping_batches
    done = (trainer.global_step - beginning.step) / max(1, steps - beginning.step)
    clock = clock_of(trainer)
    if clock and (remaining := clock.time_remaining()) is not None:
        elapsed = clock.time_elapsed() - beginning.seconds
        done = max(done, elapsed / (elapsed + remaining))
    return min(1.0, done)


def share_of_run(trainer: lightning.Trainer, beginning: Beginning) -> float:
    """Fraction of the whole run that comes after ``beginning``, by steps or time, whichever is smaller; in [0, 1]."""
    share = 1 - beginning.step / trainer.estimated_stepping_batches
    clock = clock_of(trainer)
    if clock and (remaining := clock.time_remaining()) is not None:
        share = min(share, 1 - beginning.seconds / (clock.time_elapsed() + remaining))
    return max(0.0, share)


def learning_rate_factor(step: int, progress: float, warmup_steps: int, peak: float = 1.0) -> float:
    """Linear warm-up over the first steps, times half a cosine over the progress [0, 1], from ``peak`` of the rate."""
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    peak = max(peak, FINAL_RATE)
    return warmup * (FINAL_RATE + (peak - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress)))


def peak_of_extension(share: float) -> float:
    """Learning rate to which a run returns that is trained on, relative to the full rate.

    ``share`` is the fraction of the longer run that was added: from a half on the full rate, for less accordingly less,
    as there is less time to lower it again.
    """
    return min(1.0, 2 * share)


def warmed_up_kl_weight(step: int, weight: float, warmup_steps: int) -> float:
    """Weight of the KL, growing linearly over the first steps."""
    return weight * min(1.0, (step + 1) / max(1, warmup_steps))
