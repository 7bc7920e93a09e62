"""``run.json``: settings, state and scores of a run, and for each session what is needed to reproduce it."""

import json
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from vae2ch.cli.messages import shell_join
from vae2ch.config import RunConfig, from_mapping
from vae2ch.errors import InputError
from vae2ch.files import replace_text

NAME = "run.json"
TRAINING, FINISHED = "training", "finished"  # states; a run is finished after its test
PACKAGES = ("vae2ch", "torch", "lightning", "numpy", "soundfile", "soxr")


@dataclass
class RunRecord:
    """What ``run.json`` holds."""

    settings: dict[str, Any]
    state: str = TRAINING
    scores: dict[str, float] = field(default_factory=dict)  # of the test, and the lowest validation loss
    sessions: list[dict[str, Any]] = field(default_factory=list)  # the first, and one for each resume

    def config(self) -> RunConfig:
        """The settings, checked. Raises ``InputError``."""
        return from_mapping(RunConfig, self.settings)

    def write(self, folder: Path) -> None:
        """Write the file. Raises ``OSError``."""
        replace_text(folder / NAME, json.dumps(asdict(self), indent=1) + "\n")


def read_record(folder: Path) -> RunRecord | None:
    """The record of a run's folder, None if it has none. Raises ``InputError`` if it cannot be read."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        record = RunRecord(**{item.name: values[item.name] for item in fields(RunRecord)})
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise InputError(f"{path} cannot be read ({error!r})") from None
    return record


def session(step: int, extended: bool) -> dict[str, Any]:
    """The present: command, time, versions, state of the source, machine.

    ``step`` is where training begins, ``extended`` whether it has been given more time.
    """
    return {
        "command": shell_join(["python", *sys.argv]),
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "first_step": step,
        "extended": extended,
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "source": source_state(),
        "machine": f"{platform.platform()}, {platform.processor() or platform.machine()}",
    }


def source_state() -> str:
    """Commit of the source, and whether it was changed; "" if it is not in a git repository."""
    root = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.SubprocessError):
        return ""
