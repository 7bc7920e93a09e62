import os
import signal
import subprocess
import sys

import pytest

from vae2ch.callbacks import signals as module
from vae2ch.callbacks.signals import END_SIGNALS, Interrupted, Signals


@pytest.fixture
def signals():
    before = {name: signal.getsignal(getattr(signal, name)) for name in (*END_SIGNALS, "SIGUSR1")}
    made = Signals()
    made.install()
    yield made
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_the_program_at_once_unless_it_is_deferred(name, status, signals):
    with pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), getattr(signal, name))
    assert caught.value.code == status
    assert caught.value.signal.name == name


def test_a_deferred_signal_is_noted(signals, capfd):
    signals.deferred = True
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.end == signal.SIGTERM
    assert "saving after this step" in capfd.readouterr().err


def test_the_second_signal_ends_the_process_without_cleaning_up(signals, monkeypatch, capfd):
    statuses = []
    monkeypatch.setattr(module.os, "_exit", statuses.append)
    signals.deferred = True
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert statuses == [130]
    assert "ended at once" in capfd.readouterr().err


def test_a_closed_terminal_changes_nothing(signals, monkeypatch):
    def closed(*_):
        raise BrokenPipeError

    monkeypatch.setattr(module.os, "write", closed)
    signals.deferred = True
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)  # the terminal and the shell send one each
    assert signals.end == signal.SIGHUP


def test_a_request_to_save_does_not_end_the_run(signals):
    os.kill(os.getpid(), signal.SIGUSR1)
    assert signals.save
    assert signals.end is None


def test_what_the_caller_ignores_stays_ignored():
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from vae2ch.callbacks.signals import Signals\n"
        "Signals().install()\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "still here\n"
