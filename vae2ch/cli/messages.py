"""What the programs print: errors as one line with an exit status, and the summaries of a run."""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vae2ch.callbacks.signals import Interrupted
from vae2ch.config import RunConfig
from vae2ch.errors import InputError

if TYPE_CHECKING:  # so that error messages need not wait for torch
    import lightning

    from vae2ch.codec import SoundCodec

REMARKS = {
    "note_accuracy": "of the {} segments with a pitch",
    "raw_pitch_accuracy": "of their frames with a pitch",
    "voicing_recall": "of their frames with a pitch",
}

LESS_MEMORY = "a smaller data.batch_size, latent_dim or representation.frames takes less"


class ReportedError(InputError):
    """An error whose message has been printed already."""


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print an ``InputError`` or ``OSError`` as one line and exit with status 2; at Ctrl-C with 130."""
    try:
        check_current_folder()
        yield
    except ReportedError:
        raise SystemExit(2) from None
    except InputError as error:
        print(f"vae2ch: {joined_lines(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk, missing permissions
        print(f"vae2ch: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
        raise SystemExit(2) from None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"vae2ch: out of memory ({' '.join(str(error).split())[:160]}); {LESS_MEMORY}", file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted as end:
        if not end.reported:
            print(f"vae2ch: interrupted ({end.signal.name}) before the run began", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("vae2ch: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def check_current_folder() -> None:
    """Raise ``InputError`` if the current folder has been deleted, without which not even libraries can be loaded."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the current folder has been deleted; change to another one, for example with cd") from None


def joined_lines(text: str) -> str:
    """Lines joined; the spaces within a line stay, as names have them."""
    return " ".join(line for line in map(str.strip, text.splitlines()) if line)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory could not be allocated, of the CPU or of a GPU; torch's errors are told by their name or text."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return not names.isdisjoint({"MemoryError", "OutOfMemoryError"}) or "can't allocate memory" in str(error)


def programs() -> str:
    """Prefix of a program's name in a command: an environment in the current folder may be inactive."""
    return f"{os.path.relpath(sys.prefix)}/bin/" if Path(sys.prefix).is_relative_to(Path.cwd()) else ""


def shell_join(words: Iterable[str]) -> str:
    """Words as a command that can be pasted into a shell, on one line whatever characters they have."""
    return " ".join(map(shell_quote, words))


def shell_quote(word: str) -> str:
    """A word for the shell; one that cannot be printed has the escapes of bash and zsh."""
    if word.isprintable():
        return shlex.quote(word)
    escapes = "".join(
        character if character.isprintable() and character not in "\\'" else escaped(character) for character in word
    )
    return f"$'{escapes}'"


def escaped(character: str) -> str:
    """The bytes of a character, as between the quotes of ``$''``."""
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def command_to_resume(folder: Path, *settings: str) -> str:
    """Command that goes on with a run."""
    return shell_join([f"{programs()}python", "train.py", f"resume={os.path.relpath(folder)}", *settings])


def model_summary(config: RunConfig, codec: "SoundCodec", trainer: "lightning.Trainer") -> str:
    """Size of the model, device, precision, and limits of the training."""
    parameters = sum(weight.numel() for weight in codec.parameters()) / 1e6
    limit = "" if config.minutes is None else f" or {config.minutes:g} minutes"
    bins, frames = codec.representation.size
    return (
        f"Model: {parameters:.1f} million parameters, 2 x {bins} x {frames} -> {config.model.latent_dim} latents; "
        f"{trainer.num_devices} x {trainer.strategy.root_device.type}, {trainer.precision}; "
        f"preset {config.preset}; at most {config.trainer.max_epochs} epochs{limit}"
    )


def result_summary(folder: Path, scores: dict[str, float], more: str = "") -> str:
    """Scores of the test, and the commands to see, hear and train on the run; ``more`` is the last one, if any."""
    scores = {name.removeprefix("test/"): value for name, value in scores.items()}
    pitched = int(scores.pop("pitched_segments", 0))
    lines = ["Test sounds, not used in training:"]
    for name, value in scores.items():
        lines.append(f"  {name:24s}{value:8.3f}   {REMARKS.get(name, '').format(pitched)}".rstrip())
    if not pitched:
        lines.append("  note_accuracy                  -   no test segment has a clear pitch")
    place = os.path.relpath(folder)
    lines += [
        f"Listen    {place}/report.html   (WAV files in {place}/audio)",
        f"Look      {programs()}tensorboard --logdir outputs",
        f"Play      {programs()}python -m vae2ch reconstruct {shell_quote(place)} SOUNDS --out DIR",
    ]
    if more:
        lines.append(f"More      {more}   (the validation loss still fell)")
    return "\n".join(lines)
