from pathlib import Path
from types import SimpleNamespace

import pytest
from lightning.pytorch.trainer.states import TrainerFn

from vae2ch.callbacks.interrupt import SaveOnInterrupt


@pytest.mark.parametrize(
    ("stage", "step", "error", "saved"),
    [
        (TrainerFn.FITTING, 5, KeyboardInterrupt(), True),
        (TrainerFn.FITTING, 5, ValueError(), False),  # the parameters may be damaged
        (TrainerFn.FITTING, 0, KeyboardInterrupt(), False),
        (TrainerFn.TESTING, 5, KeyboardInterrupt(), False),  # the test uses the best checkpoint's parameters
    ],
)
def test_a_checkpoint_is_saved_at_an_interrupt_of_the_training(stage, step, error, saved, tmp_path):
    path = tmp_path / "last.ckpt"
    trainer = SimpleNamespace(state=SimpleNamespace(fn=stage), global_step=step, save_checkpoint=Path.touch)
    SaveOnInterrupt(path).on_exception(trainer, None, error)
    assert path.exists() == saved
