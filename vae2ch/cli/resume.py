"""``resume=RUN``: the settings of an earlier run, with what may be changed, and the checkpoint to go on from."""

import copy
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from vae2ch.cli import CONF
from vae2ch.cli.record import FINISHED, RunRecord, read_record
from vae2ch.config import RunConfig, from_mapping, keys
from vae2ch.data.split import SplitRow
from vae2ch.data.summary import read_csv
from vae2ch.errors import InputError, suggest
from vae2ch.training.checkpoint_io import has_training_state, newest_checkpoint, read_training_state
from vae2ch.training.schedule import SCHEDULE_KEY

NEW_RUN = "begin a new run; start=RUN gives it these weights"
ORDER = "the split and the order of the segments depend on it"
FIXED = {  # settings that a resumed run cannot change, and why; a group stands for all its settings
    "latent_dim": "the weights have this size",
    "model": "the weights have this architecture",
    "representation": "the weights belong to it",
    "seed": ORDER,
    "data.source": ORDER,
    "data.limit": ORDER,
    "data.sounds": ORDER,
    "data.world_seed": ORDER,
    "data.validation": ORDER,
    "data.test": ORDER,
    "data.train_segments": ORDER,
    "data.epoch_segments": ORDER,
    "name": "the run's folder has this name",
    "start": "the initial weights have been trained since",
    "trainer.limit_train_batches": ORDER,
}
LIMITS = ("minutes", "trainer.max_epochs", "training.patience")  # what ends a training
ADDED = re.compile(r"(minutes|trainer\.max_epochs)=\+(.+)")


@dataclass(frozen=True)
class ResumedRun:
    """A run's folder, and what it goes on from."""

    folder: Path
    config: RunConfig
    changes: list[str]  # of the settings, a line each
    checkpoint: Path
    step: int  # of the checkpoint
    extended: bool  # whether the training is to last longer
    sounds: dict[str, SplitRow]  # of the run's start

    def summary(self) -> str:
        """Where the run goes on, and its changed settings."""
        return "\n".join([f"Resuming {self.folder} at step {self.step}", *(f"  {line}" for line in self.changes)])


def plan(path: Path, overrides: Sequence[str]) -> tuple[ResumedRun | None, list[str]]:
    """What to resume, None if the run is finished; and why newer checkpoints cannot be used. Raises ``InputError``."""
    folder = folder_of(path)
    record = read_record(folder)
    if record is None:
        raise InputError(f"{folder} has no run.json, so is no run that can be resumed; {NEW_RUN}")
    config = changed_config(record, overrides)
    changes = list(setting_changes(flat(record.settings), flat(asdict(config))))
    extended = any(line.startswith(f"{name}: ") for line in changes for name in LIMITS)
    if record.state == FINISHED and not extended:
        return None, []
    if path.is_file():
        checkpoint, contents, problems = path, read_training_state(path), list[str]()
    elif not has_training_state(folder / "checkpoints"):
        raise InputError(f"{folder} ended before its first save; start it again: {record.sessions[0]['command']}")
    else:
        checkpoint, contents, problems = newest_checkpoint(folder / "checkpoints")
    sounds = read_csv(folder / "sounds.csv")
    step = int(contents["global_step"])
    # an extension that ended before its first save is still one
    extended |= record.sessions[-1].get("extended", False) and record.sessions[-1]["first_step"] == step
    if extended:
        refuse_exhausted(config, contents)
    return ResumedRun(folder, config, changes, checkpoint, step, extended, sounds), problems


def refuse_exhausted(config: RunConfig, checkpoint: dict) -> None:
    """Raise ``InputError`` if a limit would end the training at once, although another was raised."""
    epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if epochs >= config.trainer.max_epochs:
        raise InputError(f"the run has had its {epochs} epochs; add more with trainer.max_epochs=+{max(1, epochs)}")
    minutes = checkpoint[SCHEDULE_KEY]["now"]["seconds"] / 60
    if config.minutes is not None and minutes >= config.minutes:
        raise InputError(f"the run has had its {config.minutes:g} minutes; add more with minutes=+{config.minutes:g}")


def folder_of(path: Path) -> Path:
    """Folder of a run that is given by its folder or one of its checkpoints. Raises ``InputError``."""
    if path.is_dir():
        return path
    if not path.exists():
        raise InputError(f"resume={path} does not exist; give a run's folder (outputs/...) or one of its checkpoints")
    return path.resolve().parents[1]


def has_no_time_limit(folder: Path) -> bool:
    """Whether a run has been limited by epochs only."""
    record = read_record(folder)
    return record is not None and record.config().minutes is None


def changed_config(record: RunRecord, overrides: Sequence[str]) -> RunConfig:
    """The settings of a run with overrides. Raises ``InputError`` if one is unknown, wrong or cannot be changed."""
    values = copy.deepcopy(record.settings)
    for key, value in assignments(record.settings, overrides):
        *groups, name = key.split(".")
        functools.reduce(lambda group, part: group[part], groups, values)[name] = value
    config, before = from_mapping(RunConfig, values), record.config()
    old, new = (made.trainer.devices * made.data.batch_size for made in (before, config))
    if old != new:
        raise InputError(
            f"trainer.devices x data.batch_size is {new}, and was {old}: the order of the segments depends on it"
        )
    return config


def assignments(settings: Mapping[str, Any], overrides: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Keys and values of overrides, those of an option of a group one by one. Raises ``InputError``."""
    known = list(keys(RunConfig))
    for text in overrides:
        if text.startswith("-"):
            raise InputError(f"{text}: resume= goes on with one run; a sweep goes on when it is started again")
        if added := ADDED.fullmatch(text):
            yield added[1], increased(settings, added[1], added[2])
            continue
        (override,) = OverridesParser.create().parse_overrides([text])
        # resolved, which also removes the escapes of a path with ${
        key = override.key_or_group
        value = OmegaConf.create({key: override.value()})[key]
        group = cast(dict, OmegaConf.to_container(option(key, value))) if (CONF / key).is_dir() else {key: value}
        for name, new in flat(group).items():
            if name not in known:
                raise InputError(f"unknown setting {name}; {suggest(name, known)}")
            refuse_fixed(name, flat(settings).get(name), new)
            yield name, new


def option(group: str, name: Any) -> Any:
    """Settings of an option of a group, as of ``conf/GROUP/NAME.yaml``. Raises ``InputError`` if there is none."""
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if name not in names:
        raise InputError(f"{group}={name}: {suggest(str(name), names)}")
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose(f"{group}/{name}")


def increased(settings: Mapping[str, Any], key: str, text: str) -> float:
    """The value of a limit of the training plus a number. Raises ``InputError``."""
    value = flat(settings)[key]
    if value is None:
        raise InputError(f"{key}=+{text}: the run has no such limit; try trainer.max_epochs=+20")
    try:
        return value + (float(text) if key == "minutes" else int(text))
    except ValueError:
        raise InputError(f"{key}=+{text}: expected a number after the +") from None


def refuse_fixed(key: str, old: Any, new: Any) -> None:
    """Raise ``InputError`` if a setting would change that cannot."""
    reason = FIXED.get(key.partition(".")[0]) or FIXED.get(key)
    if reason and old != new:
        raise InputError(f"{key}={new}: it is {old} and cannot be changed by resume=, as {reason}; {NEW_RUN}")


def setting_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Settings that differ, a line each."""
    for key, value in new.items():
        if old.get(key) != value:
            yield f"{key}: {old.get(key)} -> {value}"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their full keys."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found
