"""Counters of Lightning's loops in a checkpoint, from which it goes on exactly where the checkpoint was saved.

As of Lightning 2.6 its own counters resume exactly from ``on_train_batch_end`` only. From the end of an epoch the last
step is counted twice and the epoch's last hooks run again; from the last batch of an epoch the validation is left out;
and the loader's position includes a batch that was fetched and not trained on. So the counters are written anew for
each of the three places where a run can be: between two epochs, within one, and at its validation.
"""

from typing import Any, NamedTuple

import lightning


class ResumePoint(NamedTuple):
    """How far a training is."""

    step: int  # optimiser steps
    epoch: int  # epochs that are over, with their validation
    batch: int  # batches of the current epoch that were trained on; 0 between two epochs
    validating: bool  # whether all batches of the epoch were trained on, and its validation is next


def resume_point(trainer: lightning.Trainer) -> ResumePoint:
    """How far ``trainer`` is; not to be called while a step is computed."""
    epochs = trainer.fit_loop.epoch_progress.current
    batch = trainer.fit_loop.epoch_loop.batch_progress.current.completed
    if epochs.processed == epochs.started:  # between on_train_epoch_end and the next epoch
        batch = 0
    whole = batch == trainer.num_training_batches
    return ResumePoint(trainer.global_step, epochs.processed, batch, whole)


def write_counters(loops: dict[str, Any], point: ResumePoint) -> None:
    """Write ``point`` into the state of the fit loop that a checkpoint holds."""
    step, epoch, batch, validating = point
    begun = epoch + (batch > 0)
    loops["epoch_progress"] = tracked(begun, begun, epoch, epoch)
    # with all counters of the batches equal Lightning goes to the end of the batch, otherwise it first completes it
    completed = 0 if validating or not batch else 1
    batches = {
        "total": tracker(step, step, step, step - completed),
        "current": tracker(batch, batch, batch, batch - completed),
    }
    loops["epoch_loop.batch_progress"] = batches | {"is_last_batch": validating}
    # within an epoch Lightning adds the last step at the start
    loops["epoch_loop.state_dict"] = {"_batches_that_stepped": step - (batch > 0)}
    # a validation that has begun is started anew
    begun = int(validating)
    loops["epoch_loop.val_loop.batch_progress"] = {
        "total": tracker(begun, begun, 0, 0),
        "current": tracker(0, 0, 0, 0),
        "is_last_batch": False,
    }
    if "combined_loader" in loops["state_dict"]:
        loops["state_dict"]["combined_loader"] = [{"epoch": epoch, "first_batch": batch}]


def skip_rest_of_epoch(loops: dict[str, Any]) -> None:
    """Change the counters of a checkpoint to the beginning of the next epoch, as for other sounds."""
    total = loops["epoch_loop.batch_progress"]["total"]["ready"]
    write_counters(loops, ResumePoint(total, loops["epoch_progress"]["current"]["ready"], 0, False))


def tracked(ready: int, started: int, processed: int, completed: int) -> dict[str, dict[str, int]]:
    """State of a progress whose total and current counters are the same."""
    return {name: tracker(ready, started, processed, completed) for name in ("total", "current")}


def tracker(ready: int, started: int, processed: int, completed: int) -> dict[str, int]:
    """State of one of Lightning's counters."""
    return {"ready": ready, "started": started, "processed": processed, "completed": completed}
