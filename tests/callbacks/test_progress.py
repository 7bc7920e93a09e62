from types import SimpleNamespace

import pytest
import torch

from vae2ch.callbacks.progress import Progress


def trainer_at(step, loss):
    metrics = {f"val/{name}": torch.tensor(loss) for name in ("loss", "magnitude", "frequency", "kl")}
    return SimpleNamespace(
        callback_metrics={**metrics, "train/loss": torch.tensor(loss)},
        callbacks=[],
        current_epoch=step // 10,
        estimated_stepping_batches=40,
        global_step=step,
        sanity_checking=False,
    )


@pytest.fixture
def progress():
    callback = Progress()
    callback.on_train_start(None, None)
    yield callback
    callback.on_train_end(None, None)


def test_the_lowest_validation_loss_is_marked(progress, capsys):
    for step, loss in ((10, 3.0), (20, 2.0), (30, 2.5), (40, 2.0)):
        progress.on_validation_end(trainer_at(step, loss), None)
    lines = [line for line in capsys.readouterr().out.splitlines() if "validation" in line]
    assert [line.endswith("best") for line in lines] == [True, True, False, False]
    assert "step    20" in lines[1]
    assert "loss   2.000" in lines[1]


def test_the_bar_shows_the_fraction_of_the_run(progress):
    progress.on_train_batch_end(trainer_at(1, 3.0), None)
    assert progress.bar.n == pytest.approx(2.5)
    progress.on_train_batch_end(trainer_at(10, 3.0), None)
    assert progress.bar.n == pytest.approx(25)
    assert "step 10, loss 3.000" in progress.bar.postfix


def test_other_processes_show_nothing(capsys):
    progress = Progress()
    progress.disable()
    progress.on_train_start(None, None)
    progress.on_train_batch_end(trainer_at(1, 3.0), None)
    progress.on_validation_end(trainer_at(10, 3.0), None)
    assert capsys.readouterr() == ("", "")
