"""The logs of a run, TensorBoard's events and ``metrics.csv``, which a resumed run continues."""

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from vae2ch.files import UNFINISHED_SUFFIX, replace_text, replacing
from vae2ch.terminal import say

SAVE_EVERY = 100  # rows of the metrics


class LogFailure:
    """The first error of a log, reported once: on a full disk training goes on without it."""

    def __init__(self, name: str) -> None:
        self.name, self.happened = name, False

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Report an ``OSError`` instead of raising it."""
        try:
            yield
        except (OSError, ValueError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__  # Lightning wraps it
            if not isinstance(cause, OSError):
                raise
            if not self.happened:
                reason = cause.strerror or str(cause)
                say(f"vae2ch: cannot write {self.name}: {reason}; training goes on", error=True)
            self.happened = True


class EventLog(TensorBoardLogger):
    """TensorBoard's logger. Its writer takes nothing more after an error."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="", default_hp_metric=False)
        threading.excepthook = ignore_errors_of_writer
        self.failure = LogFailure(f"TensorBoard's events in {folder}")

    @contextmanager
    def writer(self) -> Iterator[SummaryWriter | None]:
        """The writer, or None after an error; errors in using it are reported."""
        writer = None
        if not self.failure.happened:
            with self.failure.reported():
                writer = self.experiment
        with self.failure.reported():
            yield writer

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        with self.writer() as writer:
            if writer:
                super().log_metrics(metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any], metrics: dict[str, Any] | None = None, step: int = 0) -> None:
        with self.writer() as writer:
            if writer:
                super().log_hyperparams(params, metrics, step)

    @rank_zero_only
    def save(self) -> None:
        with self.writer() as writer:
            if writer:
                writer.flush()  # without Lightning's hparams.yaml, as run.json has the settings

    @rank_zero_only
    def finalize(self, status: str) -> None:
        with self.writer() as writer:
            if writer:
                super().finalize(status)


def ignore_errors_of_writer(error: threading.ExceptHookArgs) -> None:
    """Print the error of a thread, except an ``OSError`` of TensorBoard's writer, which is raised again here later."""
    if not (isinstance(error.exc_value, OSError) and type(error.thread).__module__.startswith("tensorboard.")):
        threading.__excepthook__(error)


class MetricsTable(Logger):
    """``metrics.csv``: a row for each step that was logged; written as a whole, so that it is never half there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.unsaved = 0  # rows
        self.failure = LogFailure(str(path))

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """All rows, with those of the run's earlier sessions; read when the first one is added."""
        return read_rows(self.path)

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> list[dict[str, Any]]:
        """The rows."""
        return self.rows

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any], *args: Any, **options: Any) -> None:
        """Settings are in the other files of the run."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        self.rows.append({"step": step} | {name: float(value) for name, value in metrics.items()})
        self.unsaved += 1
        if self.unsaved >= SAVE_EVERY:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        if self.unsaved:
            with self.failure.reported():
                write_rows(self.path, self.rows)
            self.unsaved = 0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a table without their empty cells; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table with all columns that a row has. Raises ``OSError``."""
    text = io.StringIO(newline="")
    columns = sorted(set().union(*rows))
    table = csv.DictWriter(text, columns)
    table.writeheader()
    table.writerows(rows)
    replace_text(path, text.getvalue())


def forget_steps_after(folder: Path, step: int) -> None:
    """Remove from the logs what was logged after ``step`` steps of training, as a resumed run will log it again.

    The step of a metric does not count the step that it describes; that of sounds, images and histograms does.
    """
    table = folder / "metrics.csv"
    if rows := read_rows(table):
        write_rows(table, [row for row in rows if int(float(row["step"])) < step])
    for path in folder.glob(f"*{UNFINISHED_SUFFIX}"):  # of a process that was killed while it did this
        path.unlink()
    for path in sorted(folder.glob("events.out.tfevents.*")):
        events = [event for event in map(Event.FromString, RawEventFileLoader(str(path)).Load()) if keeps(event, step)]
        with replacing(path) as file:
            records = RecordWriter(file)
            for event in events:
                records.write(event.SerializeToString())


def forget_run(folder: Path) -> None:
    """Remove logs and weights of a run that ended before it could be resumed, as it begins again."""
    forget_steps_after(folder, -1)
    for path in (folder / "checkpoints").glob("*.ckpt"):
        path.unlink()


def keeps(event: Event, step: int) -> bool:
    """Whether an event is of the first ``step`` steps; test scores and hyperparameters are logged again."""
    if not event.HasField("summary"):
        return event.HasField("file_version")
    value = event.summary.value[0]
    if value.WhichOneof("value") == "simple_value":
        return event.step < step and not value.tag.startswith("test/")
    return event.step <= step and not value.tag.startswith("_hparams_/")
