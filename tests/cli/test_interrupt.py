"""Signals in each phase of a run: exit status, message, and what can be loaded afterwards."""

import os
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.helpers import compose
from vae2ch.callbacks import signals
from vae2ch.callbacks.signals import END_SIGNALS, Interrupted
from vae2ch.cli import run as module
from vae2ch.cli.record import FINISHED, read_record
from vae2ch.cli.resume import plan
from vae2ch.data import SoundDataModule
from vae2ch.training import CodecTraining
from vae2ch.training.checkpoint_io import DurableCheckpointIO, read_training_state

SETTINGS = (
    *("representation.n_fft=64", "representation.hop=16", "representation.frames=32", "latent_dim=4"),
    *("minutes=null", "trainer.max_epochs=2", "trainer.limit_train_batches=4", "trainer.limit_test_batches=1"),
    *("data.batch_size=2", "data.cache=null", "media.sounds=1", "trainer.precision=32-true", "trainer=cpu"),
)
STATUS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
# where a signal arrives: object, method, which call of it
PHASES = {
    "start": (SoundDataModule, "sample_log_magnitudes", 1),
    "training": (CodecTraining, "training_step", 3),
    "validation": (CodecTraining, "validation_step", 2),
    "save": (DurableCheckpointIO, "save_checkpoint", 1),  # of the best weights, after the first validation
    "test": (CodecTraining, "test_step", 1),
}
SAVED_STEP = {"training": 3, "validation": 4, "save": 4, "test": 8}


class EndedAtOnce(BaseException):
    """Takes the place of ``os._exit``."""


@pytest.fixture(autouse=True)
def _signals(monkeypatch):
    before = {name: signal.getsignal(getattr(signal, name)) for name in (*END_SIGNALS, "SIGUSR1")}
    for name in END_SIGNALS:  # a shell that runs the tests in the background has its children ignore some
        signal.signal(getattr(signal, name), signal.default_int_handler)

    def end_at_once(status):
        raise EndedAtOnce(status)

    monkeypatch.setattr(signals, "os", SimpleNamespace(write=os.write, _exit=end_at_once))
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


def arrange(monkeypatch, phase, names):
    """Let signals arrive in a phase."""
    owner, method, number = PHASES[phase]
    original, calls = getattr(owner, method), []

    def interrupted(*arguments, **options):
        calls.append(None)
        if len(calls) == number:
            for name in names:
                os.kill(os.getpid(), getattr(signal, name))
        return original(*arguments, **options)

    monkeypatch.setattr(owner, method, interrupted)


def start(folder, place):
    """A run in a new folder."""
    run = place / "outputs" / "a"
    run.mkdir(parents=True)
    return run, lambda: module.run(compose("data=folder", f'data.root="{folder}"', *SETTINGS), run)


def go_on(run):
    """Resume a run until it is finished."""
    resumed, problems = plan(run, [])
    assert problems == []
    module.run(resumed.config, resumed.folder, resumed)
    assert read_record(run).state == FINISHED
    assert read_training_state(run / "checkpoints" / "last.ckpt")["global_step"] == 8


# each signal in training, and one in each other phase; make torture has all
SHORT = {("start", "SIGHUP"), ("validation", "SIGTERM"), ("save", "SIGINT"), ("test", "SIGTERM")}
CASES = [
    pytest.param(phase, name, marks=[] if phase == "training" or (phase, name) in SHORT else pytest.mark.torture)
    for phase in PHASES
    for name in STATUS
]


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "name"), CASES)
def test_a_signal_saves_and_ends_the_run(phase, name, folder, tmp_path, monkeypatch, capfd):
    run, begin = start(folder, tmp_path)
    with monkeypatch.context() as patched:
        arrange(patched, phase, [name])
        with pytest.raises(Interrupted) as caught:
            begin()
    assert caught.value.code == STATUS[name]
    message = capfd.readouterr().err
    assert f"vae2ch: interrupted ({name}); " in message
    assert caught.value.reported
    if phase == "start":
        assert "nothing was saved" in message
        assert not (run / "checkpoints").exists()
        return
    assert f"step {SAVED_STEP[phase]} is saved; go on with" in message or phase == "test"
    assert f"resume={os.path.relpath(run)}" in message
    assert read_training_state(run / "checkpoints" / "last.ckpt")["global_step"] == SAVED_STEP[phase]
    go_on(run)


TWICE = [
    pytest.param(phase, name, marks=[] if name == "SIGTERM" else pytest.mark.torture)
    for phase in PHASES
    if phase not in ("start", "test")  # where the first one ends the run at once
    for name in STATUS
]


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "name"), TWICE)
def test_a_second_signal_ends_the_run_at_once_without_harm(phase, name, folder, tmp_path, monkeypatch):
    run, begin = start(folder, tmp_path)
    with monkeypatch.context() as patched:
        arrange(patched, phase, [name, "SIGTERM" if name == "SIGHUP" else name])
        with pytest.raises(EndedAtOnce) as caught:
            begin()
    assert caught.value.args == (STATUS["SIGTERM" if name == "SIGHUP" else name],)
    assert list(run.rglob("*.part")) == []
    assert not (run / "checkpoints" / "last.ckpt").exists()  # it had not been saved yet


@pytest.mark.slow
def test_a_request_to_save_saves_and_goes_on(folder, tmp_path, monkeypatch):
    run, begin = start(folder, tmp_path)
    saved = []

    def copy(self, checkpoint, path, storage_options=None):
        original(self, checkpoint, path)
        saved.append((path.name, checkpoint["global_step"]))

    original = DurableCheckpointIO.save_checkpoint
    monkeypatch.setattr(DurableCheckpointIO, "save_checkpoint", copy)
    arrange(monkeypatch, "training", ["SIGUSR1"])
    begin()
    assert ("last.ckpt", 3) in saved
    assert saved[-1] == ("last.ckpt", 8)
    assert read_record(run).state == FINISHED
    assert not (run / "checkpoints" / "previous.ckpt").exists()


@pytest.mark.slow
def test_last_is_dropped_at_the_end_if_it_is_not_to_be_kept(folder, tmp_path):
    run = tmp_path / "a"
    run.mkdir()
    config = replace(compose("data=folder", f'data.root="{folder}"', *SETTINGS), keep_last=False)
    module.run(config, run)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["best.ckpt"]
    shutil.rmtree(run)
