"""Schedules over the steps and the time of a run: learning rate and KL weight."""

import math

import lightning
from lightning.pytorch.callbacks import Timer

FINAL_RATE = 0.02  # learning rate at the end of the run, as a fraction of the full rate


def training_progress(trainer: lightning.Trainer) -> float:
    """Fraction of the run that is over, by steps or by time, whichever is larger; in [0, 1]."""
    done = trainer.global_step / trainer.estimated_stepping_batches
    for timer in (callback for callback in trainer.callbacks if isinstance(callback, Timer)):
        elapsed, remaining = timer.time_elapsed(), timer.time_remaining()
        if remaining is not None:
            done = max(done, elapsed / (elapsed + remaining))
    return min(1.0, done)


def learning_rate_factor(step: int, progress: float, warmup_steps: int) -> float:
    """Linear warm-up over the first steps, times half a cosine over the progress [0, 1] of the run.

    A finished run that is given more time goes on where the longer run would be: after doubling the time at half.
    """
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    return warmup * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress)))


def warmed_up_kl_weight(step: int, weight: float, warmup_steps: int) -> float:
    """Weight of the KL, growing linearly over the first steps."""
    return weight * min(1.0, (step + 1) / max(1, warmup_steps))
