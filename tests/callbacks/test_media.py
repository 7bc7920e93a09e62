"""When a training run logs its sounds, and in which form."""

import time
from types import SimpleNamespace

import pytest
import torch

from vae2ch.callbacks.media import MAX_TIME_FRACTION, TensorBoardMedia, playable

MODULE = SimpleNamespace(eval=lambda: None, train=lambda: None)


class RecordedMedia(TensorBoardMedia):
    """Records the steps instead of logging sounds."""

    def __init__(self):
        super().__init__(sounds=1, seed=0)
        self.steps = []

    def log_sounds(self, trainer, module):
        self.logged_step = trainer.global_step
        self.steps.append(trainer.global_step)


def trainer_at(step, *, first=True, sanity_checking=False):
    return SimpleNamespace(global_step=step, is_global_zero=first, sanity_checking=sanity_checking, loggers=[])


def test_sounds_are_logged_after_the_first_epoch_and_at_the_end():
    media = RecordedMedia()
    media.on_train_start(trainer_at(0), MODULE)
    media.on_validation_end(trainer_at(10), MODULE)
    media.on_train_end(trainer_at(15), MODULE)
    assert media.steps == [10, 15]


def test_the_last_validation_is_not_logged_twice():
    media = RecordedMedia()
    media.on_validation_end(trainer_at(10), MODULE)
    media.on_train_end(trainer_at(10), MODULE)
    assert media.steps == [10]


@pytest.mark.parametrize(("share", "logged"), [(0.9, True), (1.1, False)])
def test_logging_takes_a_limited_fraction_of_the_training_time(share, logged):
    media = RecordedMedia()
    media.start = time.monotonic() - 1000
    media.spent = share * MAX_TIME_FRACTION * 1000
    media.on_validation_end(trainer_at(10), MODULE)
    assert media.steps == ([10] if logged else [])


def test_the_time_that_logging_takes_is_counted():
    class SlowMedia(RecordedMedia):
        def log_sounds(self, trainer, module):
            super().log_sounds(trainer, module)
            time.sleep(0.05)

    media = SlowMedia()
    media.on_train_start(trainer_at(0), MODULE)
    for step in (10, 20, 30):
        media.on_validation_end(trainer_at(step), MODULE)
    assert media.steps == [10]
    assert media.spent >= 0.05


@pytest.mark.parametrize("options", [{"first": False}, {"sanity_checking": True}])
def test_nothing_is_logged_in_other_processes_and_in_the_sanity_check(options):
    media = RecordedMedia()
    media.on_validation_end(trainer_at(10, **options), MODULE)
    assert media.steps == []


def test_playable_samples_are_in_range_and_at_least_two():
    assert playable(torch.tensor([0.3])).tolist() == [[pytest.approx(0.3), 0.0]]
    assert playable(torch.tensor([3.0, -2.0, 0.5])).tolist() == [[1.0, -1.0, 0.5]]
