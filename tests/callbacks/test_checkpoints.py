from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from vae2ch.callbacks import checkpoints
from vae2ch.callbacks.checkpoints import Checkpoints
from vae2ch.callbacks.signals import Interrupted, Signals


class RecordedTrainer(SimpleNamespace):
    """Saves into a list; each save fails if ``full``."""

    def __init__(self, step=5):
        files = SimpleNamespace(failed=False)
        strategy = SimpleNamespace(checkpoint_io=files, broadcast=lambda value: value, root_device="cpu")
        state = SimpleNamespace(fn=TrainerFn.FITTING)
        options = {"loggers": [], "world_size": 1, "saved": [], "full": False}
        super().__init__(global_step=step, strategy=strategy, state=state, **options)

    def save_checkpoint(self, path, weights_only):
        self.strategy.checkpoint_io.failed = self.full
        self.saved.append((path.name, weights_only))


@pytest.fixture
def clock(monkeypatch):
    time = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: time.now)
    return time


@pytest.fixture
def callback(tmp_path, clock):
    made = Checkpoints(tmp_path, minutes=2, signals=Signals(), extended=False)
    made.saved_at, made.saved_step = clock.now, 0
    return made


def validate(callback, trainer, loss):
    trainer.callback_metrics = {"val/loss": torch.tensor(loss)}
    callback.on_validation_end(trainer, None)


def test_the_last_is_saved_every_two_minutes_however_often_the_best_is(callback, clock):
    trainer = RecordedTrainer()
    for second in range(0, 600, 10):
        clock.now = 1000.0 + second
        trainer.global_step += 1
        validate(callback, trainer, 1 / (1 + second))
        callback.on_train_batch_start(trainer, None)
    assert trainer.saved.count(("best.ckpt", True)) == 60
    assert trainer.saved.count(("last.ckpt", False)) == 4


def test_the_best_is_that_of_the_lowest_loss(callback):
    trainer = RecordedTrainer()
    for loss in (0.5, 0.6, float("nan"), 0.4, 0.4):
        validate(callback, trainer, loss)
    assert trainer.saved == [("best.ckpt", True)] * 2
    assert callback.lowest == pytest.approx(0.4)


def test_a_best_that_could_not_be_saved_is_tried_again(callback):
    trainer = RecordedTrainer()
    trainer.full = True
    validate(callback, trainer, 0.5)
    trainer.full = False
    validate(callback, trainer, 0.6)
    assert len(trainer.saved) == 2
    assert callback.lowest == pytest.approx(0.6)


def test_a_last_that_could_not_be_saved_is_tried_again_when_it_is_due(callback, clock):
    trainer = RecordedTrainer()
    trainer.full = True
    for seconds, count in ((121, 1), (122, 1), (242, 2)):
        clock.now = 1000.0 + seconds
        callback.on_train_batch_start(trainer, None)
        assert len(trainer.saved) == count
    assert callback.saved_step == 0


def test_a_step_is_saved_once(callback):
    trainer = RecordedTrainer()
    for _ in range(2):
        callback.signals.save = True
        callback.on_train_batch_start(trainer, None)
    assert len(trainer.saved) == 1


def test_a_signal_saves_and_ends(callback):
    trainer = RecordedTrainer()
    callback.signals.end = 15
    with pytest.raises(Interrupted) as caught:
        callback.on_train_batch_start(trainer, None)
    assert caught.value.code == 143
    assert trainer.saved == [("last.ckpt", False)]


def test_within_a_validation_only_a_signal_to_end_saves(callback):
    trainer = RecordedTrainer()
    callback.signals.save = True
    callback.on_validation_batch_start(trainer, None)
    assert trainer.saved == []
    callback.signals.end = 15
    with pytest.raises(Interrupted) as caught:
        callback.on_validation_batch_start(trainer, None)
    assert trainer.saved == [("last.ckpt", False)]
    assert caught.value.saved_step == 5


def test_the_step_that_is_saved_is_that_of_the_last_save_that_succeeded(callback):
    trainer = RecordedTrainer(step=9)
    callback.saved_step, trainer.full, callback.signals.end = 4, True, 15
    with pytest.raises(Interrupted) as caught:
        callback.on_train_batch_start(trainer, None)
    assert caught.value.saved_step == 4


def test_before_the_first_step_nothing_is_saved(callback):
    trainer = RecordedTrainer(step=0)
    callback.signals.end = 2
    with pytest.raises(Interrupted):
        callback.on_train_batch_start(trainer, None)
    assert trainer.saved == []


@pytest.mark.parametrize("extended", [False, True])
def test_a_finished_training_is_left_out_unless_it_is_extended(extended, tmp_path):
    callback = Checkpoints(tmp_path, minutes=2, signals=Signals(), extended=extended)
    callback.load_state_dict({"finished": True})
    trainer = RecordedTrainer()
    callback.on_fit_start(trainer, None)
    assert trainer.should_stop != extended
