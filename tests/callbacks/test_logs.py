import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from vae2ch.callbacks.logs import EventLog, MetricsTable, forget_steps_after, read_rows

FULL = OSError(28, "No space left on device")


def write_events(folder, steps):
    """Metrics of each step, sounds of the epochs of two steps, and what a finished run has."""
    with SummaryWriter(str(folder)) as writer:
        for step in range(steps):
            writer.add_scalar("train/loss", float(step), step)
            if step % 2 == 1:
                writer.add_scalar("val/loss", float(step), step)
                writer.add_audio("a/original", torch.zeros(1, 10), step + 1, 8000)
                writer.add_histogram("val/kl", torch.randn(4), step + 1)
        writer.add_scalar("test/snr", 1.0, steps)
        writer.add_hparams({"a": 1}, {"test/snr": 1.0}, run_name=".")


def read_events(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    found = {tag: [event.step for event in events.Scalars(tag)] for tag in tags["scalars"]}
    return found | {tag: [event.step for event in events.Audio(tag)] for tag in tags["audio"]}


def test_steps_after_the_checkpoint_are_forgotten(tmp_path):
    write_events(tmp_path, 8)
    forget_steps_after(tmp_path, 4)
    assert read_events(tmp_path) == {"train/loss": [0, 1, 2, 3], "val/loss": [1, 3], "a/original": [2, 4]}


def test_a_file_that_ends_within_a_record_is_read_up_to_there(tmp_path):
    write_events(tmp_path, 4)
    path = max(tmp_path.glob("events.*"), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[:-3])
    forget_steps_after(tmp_path, 4)
    assert read_events(tmp_path)["train/loss"] == [0, 1, 2, 3]
    write_events(tmp_path, 0)
    assert read_events(tmp_path)["train/loss"] == [0, 1, 2, 3]


def test_the_table_goes_on_after_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.csv"
    table = MetricsTable(path)
    for step in range(4):
        table.log_metrics({"train/loss": torch.tensor(0.5 * step)}, step)
    table.log_metrics({"val/loss": 1.5}, 3)
    table.save()
    forget_steps_after(tmp_path, 3)
    table = MetricsTable(path)
    table.log_metrics({"train/gradient_norm": 2.0}, 3)
    table.finalize("success")
    rows = [{name: float(value) for name, value in row.items()} for row in read_rows(path)]
    expected = [{"step": step, "train/loss": 0.5 * step} for step in range(3)]
    assert rows == [*expected, {"step": 3, "train/gradient_norm": 2.0}]


def test_rows_are_saved_now_and_then(tmp_path):
    table = MetricsTable(tmp_path / "metrics.csv")
    for step in range(150):
        table.log_metrics({"train/loss": 1.0}, step)
    assert len(read_rows(tmp_path / "metrics.csv")) == 100


def test_a_table_that_cannot_be_written_is_reported_once(tmp_path, capsys):
    table = MetricsTable(tmp_path / "missing" / "metrics.csv")
    for step in range(2):
        table.log_metrics({"train/loss": 1.0}, step)
        table.save()
    assert capsys.readouterr().err.count("cannot write") == 1
    table.path.parent.mkdir()
    table.log_metrics({"train/loss": 1.0}, 2)
    table.save()
    assert len(read_rows(table.path)) == 3  # nothing is lost once there is space


@pytest.mark.parametrize("method", ["log_metrics", "save"])
def test_tensorboard_that_cannot_be_written_is_reported_once(method, tmp_path, capsys, monkeypatch):
    log = EventLog(tmp_path)
    log.log_metrics({"train/loss": 1.0}, 0)

    def fail(*_):
        raise FULL

    monkeypatch.setattr(log.experiment, "add_scalar" if method == "log_metrics" else "flush", fail)
    for step in (1, 2):
        log.log_metrics({"train/loss": 1.0}, step)
        log.save()
    log.finalize("success")
    error = capsys.readouterr().err
    assert error.count("cannot write TensorBoard's events") == 1
    assert "No space left on device; training goes on" in error
    with log.writer() as writer:
        assert writer is None


def test_other_errors_of_a_log_are_raised(tmp_path, monkeypatch):
    log = EventLog(tmp_path)
    with pytest.raises(ValueError, match="not supported"):
        log.log_metrics({"train/loss": "text"}, 0)
