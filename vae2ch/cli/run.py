"""One run: data, codec, trainer; train, test, and say what to do next."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_only

from vae2ch.callbacks.limits import fell_at_the_end
from vae2ch.callbacks.logs import forget_run, forget_steps_after
from vae2ch.callbacks.signals import Interrupted, Signals
from vae2ch.cli import hardware, memory, preset, processes, record
from vae2ch.cli.messages import command_to_resume, model_summary, result_summary
from vae2ch.cli.record import RunRecord, read_record
from vae2ch.cli.resume import ResumedRun
from vae2ch.cli.run_folder import locked
from vae2ch.cli.start import initialise, read_start
from vae2ch.cli.trainer import build_trainer, silence_lightning
from vae2ch.codec import SoundCodec
from vae2ch.config import CodecConfig, RunConfig
from vae2ch.data import SoundDataModule
from vae2ch.data.summary import differences
from vae2ch.errors import InputError, TrainingError
from vae2ch.training import CodecTraining
from vae2ch.training.checkpoint_io import BEST, LAST, PREVIOUS, has_training_state

MAX_NAMED_CHANGES = 10  # changed sounds in a message


def build(config: RunConfig) -> tuple[SoundDataModule, CodecTraining]:
    """The data, not read yet, and the codec's training. Raises ``InputError`` if settings do not fit together."""
    weights = {"amplitude_weight": config.training.amplitude_weight, "kl_weight": config.training.kl_weight}
    try:
        codec = SoundCodec(CodecConfig(config.representation, config.model, **weights))
        data = SoundDataModule(config.data, config.augment, config.representation, config.seed)
    except ValueError as error:
        raise InputError(str(error)) from None
    codec.autocast_dtype = torch.bfloat16 if config.trainer.precision == "bf16-mixed" else None
    return data, CodecTraining(codec, config.training, config.seed)


def run(config: RunConfig, folder: Path, resumed: ResumedRun | None = None) -> float:
    """Train and test, with all results in ``folder``; returns the lowest validation loss. Raises ``InputError``."""
    signals = Signals()
    signals.install()
    processes.end_with_parent()
    silence_lightning()
    hardware.keep_freed_memory()
    lightning.seed_everything(config.seed, verbose=False)
    with locked(folder) if processes.rank() == 0 else nullcontext(), interruptible(folder):
        return run_locked(config, folder, resumed, signals)


def run_locked(config: RunConfig, folder: Path, resumed: ResumedRun | None, signals: Signals) -> float:
    """``run`` in a folder that no other process uses."""
    resolved = hardware.resolve(config)
    hardware.limit_threads(resolved.trainer.devices)
    if processes.rank() == 0:
        memory.check(resolved)
    data, module = build(resolved)
    # before the sounds are read, to find an error at once
    start = read_start(config.start, module.codec.config) if resumed is None else None
    module.extended = resumed is not None and resumed.extended
    module.skip_rest_of_epoch = read_sounds(data, resumed)
    config, resolved = (preset.resolve(settings, data.suitable_preset()) for settings in (config, resolved))
    module.config, data.augment = resolved.training, resolved.augment
    trainer = build_trainer(resolved, folder, signals, extended=module.extended)
    say = rank_zero_only(print)
    say(data.table())
    note = RunRecord(asdict(config), sessions=previous_sessions(folder))
    if trainer.is_global_zero:
        prepare_folder(folder, data, note, resumed)  # only now, as an error before leaves the run as it is
    say(model_summary(config, module.codec, trainer), flush=True)
    if start and trainer.is_global_zero:  # the other processes get the weights of the first
        initialise(module, data, start)
        say(f"Initial weights: {module.start}", flush=True)
    scores = train_and_test(trainer, module, data, folder, resumed)
    lowest = trainer.checkpoint_callback.lowest
    if trainer.is_global_zero:
        note.state, note.scores = record.FINISHED, {"val/loss": lowest, **scores}
        note.write(folder)
        remove_checkpoints(folder / "checkpoints", keep_last=config.keep_last)
    say(result_summary(folder, scores, more(trainer, config, folder)))
    return lowest


def prepare_folder(folder: Path, data: SoundDataModule, note: RunRecord, resumed: ResumedRun | None) -> None:
    """Write what a session begins with, and remove what was logged after the checkpoint, or by a run without one."""
    if resumed:
        forget_steps_after(folder, resumed.step)
    elif note.sessions:
        forget_run(folder)
    data.write_csv(folder / "sounds.csv")
    extended = resumed is not None and resumed.extended
    note.sessions.append(record.session(resumed.step if resumed else 0, extended))
    note.write(folder)


def read_sounds(data: SoundDataModule, resumed: ResumedRun | None) -> bool:
    """Read the collection, in a resumed run with the splits of before; returns whether it has changed since.

    Raises ``InputError`` if it has and that is not accepted.
    """
    data.earlier = resumed.sounds if resumed else {}
    data.setup()
    lines = differences(data.collection, resumed.sounds) if resumed else []
    if resumed and lines and data.data.changed == "refuse":
        rest = len(lines) - MAX_NAMED_CHANGES
        shown = ", ".join(lines[:MAX_NAMED_CHANGES]) + (f" and {rest} more" if rest > 0 else "")
        raise InputError(
            f"the sounds in {data.collection.root} are not those of the run: {shown}. Begin a new run with "
            f"start={resumed.folder}, or add data.changed=accept; sounds that were held out then stay held out"
        )
    return bool(lines)


def previous_sessions(folder: Path) -> list[dict]:
    """Sessions of a run before this one."""
    earlier = read_record(folder)
    return earlier.sessions if earlier else []


def train_and_test(
    trainer: lightning.Trainer, module: CodecTraining, data: SoundDataModule, folder: Path, resumed: ResumedRun | None
) -> dict[str, float]:
    """Train, then test with the best weights; returns the scores."""
    trainer.fit(module, datamodule=data, ckpt_path=resumed and resumed.checkpoint)
    best = folder / "checkpoints" / BEST
    found = trainer.strategy.broadcast(best.exists())  # not if the disk was full
    scores = trainer.test(module, datamodule=data, ckpt_path=best if found else None, verbose=False)[0]
    return {name: float(value) for name, value in scores.items()}


def more(trainer: lightning.Trainer, config: RunConfig, folder: Path) -> str:
    """Command to train on, if the validation loss still fell at the end and there is a checkpoint to go on from."""
    if not fell_at_the_end(trainer) or not config.keep_last:
        return ""
    if config.minutes is None or trainer.current_epoch >= config.trainer.max_epochs:
        return command_to_resume(folder, f"trainer.max_epochs=+{config.trainer.max_epochs}")
    return command_to_resume(folder, f"minutes=+{config.minutes:g}")


def remove_checkpoints(folder: Path, keep_last: bool) -> None:
    """Remove what a finished run needs no more."""
    for name in (PREVIOUS,) if keep_last else (PREVIOUS, LAST):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def interruptible(folder: Path) -> Iterator[None]:
    """Print or raise how to go on with what was saved, when a signal or an error ends the run."""

    def saved() -> bool:
        return has_training_state(folder / "checkpoints")

    try:
        yield
    except TrainingError as error:
        rate = "training.learning_rate=VALUE"
        more = f"; go on from the last checkpoint with {command_to_resume(folder, rate)}" if saved() else ""
        raise InputError(f"{error}{more}") from None
    except Interrupted as end:
        if processes.rank() > 0:  # another status would let Lightning kill the first process, which may be saving
            raise SystemExit(0) from None
        state = "nothing was saved: no step was finished"
        if saved():
            step = f"step {end.saved_step} is saved" if end.saved_step else "it is saved"
            state = f"{step}; go on with {command_to_resume(folder)}"
        with suppress(OSError):  # the terminal may be closed
            print(f"vae2ch: interrupted ({end.signal.name}); {state}", file=sys.stderr)
        end.reported = True
        raise
    except RuntimeError as error:
        if not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            raise
        reason = str(error).strip().splitlines()[0][:160]
        more = f"; go on with {command_to_resume(folder)}" if saved() else ""
        raise InputError(f"another process of the run has ended ({reason}){more}") from None
