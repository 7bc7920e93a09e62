"""How often a training is listened to."""

from types import SimpleNamespace

import pytest

from vae2ch.callbacks import listening
from vae2ch.callbacks.listening import SHARE, Listening


class Clock:
    """Stands still until somebody takes time."""

    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.mark.parametrize(("epoch", "every"), [(100.0, True), (1.0, False)])
def test_listening_takes_no_more_than_its_share_of_the_time(tmp_path, monkeypatch, epoch, every):
    clock, took, heard = Clock(), 5.0, []
    monkeypatch.setattr(listening, "time", clock)

    def log_sounds(self, trainer, module):
        clock.now += took
        heard.append(trainer.global_step)

    monkeypatch.setattr(Listening, "log_sounds", log_sounds)
    callback = Listening(tmp_path, sounds=1, seed=0)
    trainer = SimpleNamespace(sanity_checking=False, is_global_zero=True, loggers=[], global_step=0)
    module = SimpleNamespace(eval=lambda: None, train=lambda: None)
    callback.on_train_start(trainer, module)
    begun = clock.now
    for step in range(1, 201):
        clock.now += epoch
        trainer.global_step = step
        callback.on_validation_end(trainer, module)
    share = (len(heard) - 1) * took / (clock.now - begun)
    assert heard[:2] == [0, 1], "the start and the first epoch are always heard"
    assert (len(heard) == 201) == every
    assert every or SHARE / 2 < share < 1.5 * SHARE
