"""Signals that ask a run to save or to end."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

SAVE_SIGNAL = "SIGUSR1"  # a batch system's announcement of its time limit
END_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, kill, a closed terminal


class Interrupted(SystemExit):
    """The end of a run that a signal asked for, with the exit status of the shell's convention.

    ``saved_step`` is that of the newest checkpoint, 0 if there is none; ``reported`` whether a message was printed.
    """

    def __init__(self, number: int, saved_step: int = 0) -> None:
        super().__init__(128 + number)
        self.signal, self.saved_step = signal.Signals(number), saved_step
        self.reported = False


class Signals:
    """Requests that have arrived as signals.

    While ``deferred``, a request to end waits until the training has saved; otherwise it raises ``Interrupted`` at
    once. A second one ends the process without cleaning up; all files are replaced as a whole, so none is damaged.
    """

    def __init__(self) -> None:
        self.deferred = False
        self.end: int | None = None  # number of the signal
        self.save = False

    def install(self) -> None:
        """Handle the signals from now on, except those that the caller of the program ignores (nohup)."""
        if threading.current_thread() is not threading.main_thread():
            return
        handlers = dict.fromkeys(END_SIGNALS, self.on_end) | {SAVE_SIGNAL: self.on_save}
        for name, handler in handlers.items():
            number = getattr(signal, name, None)  # Windows has not all of them
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handler)

    def on_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True

    def on_end(self, number: int, frame: FrameType | None) -> None:
        """Note the request; at the second, or if nothing has to be saved, end."""
        if self.end == number == getattr(signal, "SIGHUP", None):
            return  # a terminal that closes may send it twice
        if self.end is not None:
            write(b"\nvae2ch: ended at once; the checkpoints are those of the last save\n")
            os._exit(128 + number)
        self.end = number
        if not self.deferred:
            raise Interrupted(number)
        write(b"\nvae2ch: saving after this step; a second signal ends at once, without saving\n")


def write(text: bytes) -> None:
    """Write to the standard error as far as it exists, in a way that is allowed in the handler of a signal."""
    with suppress(OSError):
        os.write(2, text)
