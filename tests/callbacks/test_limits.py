from types import SimpleNamespace

import pytest
import torch

from vae2ch.callbacks.limits import Clock, Patience, fell_at_the_end


def stopping_at(wait_count, *, epochs=5, extended=False, saved_patience=3):
    callback = Patience(epochs, extended)
    saved = Patience(saved_patience, False).state_dict() | {"wait_count": wait_count, "best_score": torch.tensor(0.5)}
    callback.load_state_dict(saved)
    return callback


def test_a_changed_patience_has_an_effect_on_a_resumed_run():
    callback = stopping_at(2)
    assert (callback.patience, callback.wait_count, callback.best_score) == (5, 2, 0.5)


def test_a_run_that_is_extended_counts_anew():
    assert stopping_at(5, extended=True).wait_count == 0


@pytest.mark.parametrize("wait_count", [0, 1])
def test_the_last_validation_tells_whether_the_loss_still_fell(wait_count):
    assert fell_at_the_end(SimpleNamespace(callbacks=[stopping_at(wait_count)])) == (wait_count == 0)


def test_the_clock_goes_on_where_it_was():
    clock = Clock(10)
    clock.load_state_dict({"time_elapsed": {"train": 240.0}})
    assert clock.time_elapsed() == 240
    assert clock.time_remaining() == 360


def test_time_that_is_over_ends_the_run_after_a_step_and_not_before_it():
    clock = Clock(1)
    clock.load_state_dict({"time_elapsed": {"train": 61.0}})
    trainer = SimpleNamespace(should_stop=False, strategy=SimpleNamespace(broadcast=lambda value: value))
    clock.on_fit_start(trainer)
    assert not trainer.should_stop
    clock.on_train_batch_end(trainer)
    assert trainer.should_stop
