"""Checkpoint files of a training: written as a whole, read as data, and the newest that can be used."""

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from torch import Tensor

from vae2ch.codec import CHECKPOINT_NAMES, SoundCodec, read_checkpoint
from vae2ch.errors import InputError, short_text
from vae2ch.files import replacing
from vae2ch.terminal import say
from vae2ch.training.optimiser import INITIAL
from vae2ch.training.schedule import SCHEDULE_KEY

BEST, LAST, PREVIOUS = CHECKPOINT_NAMES
TRAINING_STATE = ("optimizer_states", "lr_schedulers", "callbacks", "loops", SCHEDULE_KEY)


class DurableCheckpointIO(CheckpointIO):
    """Lightning's access to checkpoint files; its own writes through ``TMPDIR`` and leaves parts on a full disk.

    A checkpoint that cannot be written is reported, and ``failed`` is set; the one before is kept.
    """

    failed = False  # whether the last save did

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint; a ``last.ckpt`` that was there before becomes ``previous.ckpt``."""
        path = Path(path)
        buffer = io.BytesIO()  # as torch turns the errors of a file into others
        torch.save(checkpoint, buffer)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, keep=path.with_name(PREVIOUS) if path.name == LAST else None) as file:
                file.write(buffer.getbuffer())
            self.failed = False
        except OSError as error:
            self.failed = True
            say(f"vae2ch: {failure(path, buffer.tell(), error)}; training goes on", error=True)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> dict:
        """Read a checkpoint as data only. Raises ``InputError``."""
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def failure(path: Path, size: int, error: OSError) -> str:
    """Message for a file of ``size`` bytes that could not be written."""
    reason = error.strerror or str(error)
    with contextlib.suppress(OSError):
        reason += f", {shutil.disk_usage(path.parent).free / 1e6:.0f} MB are free"
    return f"cannot save {path} ({size / 1e6:.0f} MB): {reason}"


def newest_checkpoint(folder: Path) -> tuple[Path, dict, list[str]]:
    """The newest checkpoint in ``folder`` from which training can go on, its contents, and why newer ones cannot.

    Raises ``InputError`` if there is none.
    """
    problems: list[str] = []
    for path in candidates(folder):
        try:
            return path, read_training_state(path), problems
        except InputError as error:
            problems.append(str(error))
    found = "; ".join(problems) or "there is no last.ckpt"
    raise InputError(f"{folder}: no checkpoint to go on from ({found})")


def has_training_state(folder: Path) -> bool:
    """Whether a folder has a file from which training may go on."""
    return any(candidates(folder))


def candidates(folder: Path) -> Iterator[Path]:
    """Files that may hold the state of a training, the newest first."""
    yield from (path for name in (LAST, PREVIOUS) if (path := folder / name).is_file())


def read_training_state(path: Path) -> dict:
    """Contents of a checkpoint from which training can go on. Raises ``InputError`` if it is none."""
    checkpoint = read_checkpoint(path)
    states = [checkpoint.get(name) for name in TRAINING_STATE]
    if not all(isinstance(state, dict | list) and state for state in states):
        raise InputError(f"{path} holds a model, but no state of a training; start={path} begins a new run with it")
    codec = SoundCodec.from_checkpoint(checkpoint, path)
    try:
        check_moments(checkpoint["optimizer_states"][0], [tuple(weight.shape) for weight in codec.vae.parameters()])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path} has a damaged optimiser state ({short_text(error)})") from None
    return checkpoint


def check_moments(optimiser: dict, shapes: list[tuple[int, ...]]) -> None:
    """Raise ``ValueError`` if moments or initial weights of an optimiser do not have the shapes of the parameters."""
    moments = [state[name] for state in optimiser["state"].values() for name in ("exp_avg", "exp_avg_sq")]
    initial = [weight for group in optimiser["param_groups"] for weight in group.get(INITIAL, [])]
    if not all(isinstance(values, Tensor) for values in moments + initial):
        raise ValueError("a moment or an initial weight is no tensor")
    if sorted(tuple(moment.shape) for moment in moments) != sorted(2 * shapes):
        raise ValueError("its moments have other sizes than the parameters")
    if initial and sorted(tuple(weight.shape) for weight in initial) != sorted(shapes):
        raise ValueError("its initial weights have other sizes than the parameters")
