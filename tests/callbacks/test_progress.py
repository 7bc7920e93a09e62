from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from vae2ch import terminal
from vae2ch.callbacks.progress import Progress


def trainer_at(step, loss=1.0, **options):
    metrics = {f"val/{name}": torch.tensor(loss) for name in ("loss", "magnitude", "frequency", "kl")}
    return SimpleNamespace(
        callback_metrics={**metrics, "train/loss": torch.tensor(loss)},
        callbacks=[],
        checkpoint_callback=SimpleNamespace(lowest=float("inf")),
        current_epoch=step // 10,
        datamodule=SimpleNamespace(datasets={"test": range(30)}, data=SimpleNamespace(batch_size=8)),
        estimated_stepping_batches=40,
        global_step=step,
        num_test_batches=[4],
        sanity_checking=False,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
        **options,
    )


@pytest.fixture
def progress():
    callback = Progress()
    callback.on_train_start(trainer_at(0), None)
    yield callback
    callback.on_train_end(None, None)


@pytest.fixture
def _a_line_each_time(monkeypatch):
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", 0.0)


def test_the_lowest_validation_loss_is_marked(progress, capsys):
    for step, loss in ((10, 3.0), (20, 2.0), (30, 2.5), (40, 2.0)):
        progress.on_validation_end(trainer_at(step, loss), None)
    lines = [line for line in capsys.readouterr().out.splitlines() if "validation" in line]
    assert [line.endswith("best") for line in lines] == [True, True, False, False]
    assert "step    20" in lines[1]
    assert "loss   2.000" in lines[1]


@pytest.mark.usefixtures("_a_line_each_time")
def test_lines_show_the_fraction_of_the_run(progress, capsys):
    progress.on_train_batch_end(trainer_at(1, 3.0), None)
    progress.on_train_batch_end(trainer_at(10, 3.0), None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("first step after")
    assert lines[-1].startswith("training 25 of 100 %, step 10, loss 3.000, ")
    assert lines[-1].endswith(" left")


def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(terminal, "BAR_DELAY", 0.0)
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", 0.0)
    display = terminal.ProgressDisplay("reading", 4, "files")
    display.show(2, "well")
    assert not display.bar.disable
    assert display.bar.n == 2
    assert capsys.readouterr().out == ""
    display.close()


@pytest.mark.usefixtures("_a_line_each_time")
def test_the_segments_of_the_test_are_counted(capsys):
    progress, trainer = Progress(), trainer_at(40)
    progress.on_test_start(trainer, None)
    for size in (8, 8):
        progress.on_test_batch_end(trainer, None, None, SimpleNamespace(index=torch.arange(size)), 0)
    assert "testing 16 of 30 segments, " in capsys.readouterr().out.splitlines()[-1]


def test_a_resumed_run_begins_where_it_was(capsys):
    progress = Progress()
    progress.on_train_start(trainer_at(20), None)
    assert progress.training.done == 50
    progress.training.begin -= 10
    progress.training.show(75)
    assert progress.training.seconds_left() == "10 seconds"


def test_other_processes_show_nothing(capsys):
    progress = Progress()
    progress.disable()
    progress.on_train_start(trainer_at(0), None)
    progress.on_train_batch_end(trainer_at(1, 3.0), None)
    progress.on_validation_end(trainer_at(10, 3.0), None)
    assert capsys.readouterr() == ("", "")
