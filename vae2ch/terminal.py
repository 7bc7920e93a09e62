"""Progress of a long task: a bar on a terminal, and a line a minute where the output goes elsewhere.

Nothing here raises an error if the terminal has been closed: a run goes on, or saves itself.
"""

import re
import sys
import time
from contextlib import suppress

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0
BAR_DELAY = 1.0  # seconds before a bar appears
FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed} elapsed, {remaining} left{postfix}"
# also those that reverse the rest of a line
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """A name as one line, with escapes for line breaks, reversals and other control characters."""
    return CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ProgressDisplay:
    """How much of ``total`` is done, with the time left; nothing is shown if not ``enabled``."""

    def __init__(self, task: str, total: float, unit: str, enabled: bool = True) -> None:
        self.task, self.total, self.unit, self.enabled = task, total, unit, enabled
        self.done, self.first = 0.0, 0.0  # now, and at the beginning
        self.begin = self.printed = time.monotonic()
        on_terminal = sys.stderr.isatty()
        self.lines = enabled and not on_terminal
        self.bar = tqdm(
            desc=task, total=total, bar_format=FORMAT, delay=BAR_DELAY, leave=False, disable=not enabled or self.lines
        )

    def start_at(self, done: float) -> None:
        """Set what was done before, which says nothing about the speed."""
        self.done = self.first = self.bar.initial = self.bar.n = done

    def show(self, done: float, note: str = "") -> None:
        """Show how much is done, and a note."""
        self.done = done
        with suppress(OSError):
            self.draw(note)

    def draw(self, note: str) -> None:
        """Draw the bar, or print a line if it is time."""
        done = self.done
        self.bar.set_postfix_str(f" {note}", refresh=False)
        self.bar.update(done - self.bar.n)
        if self.lines and time.monotonic() - self.printed >= SECONDS_BETWEEN_LINES:
            self.printed = time.monotonic()
            parts = [f"{self.task} {done:.0f} of {self.total:.0f} {self.unit}", note, f"{self.seconds_left()} left"]
            print(", ".join(filter(None, parts)), flush=True)

    def seconds_left(self) -> str:
        """Estimated time until the end, in words."""
        seconds = (time.monotonic() - self.begin) * (self.total - self.done) / max(self.done - self.first, 1e-9)
        return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"

    def close(self) -> None:
        with suppress(OSError):
            self.bar.close()


def say(text: str, error: bool = False) -> None:
    """Print a line above the bars; on the standard error if it tells of an ``error``."""
    with suppress(OSError):
        tqdm.write(text, file=sys.stderr if error else sys.stdout)
        (sys.stderr if error else sys.stdout).flush()
