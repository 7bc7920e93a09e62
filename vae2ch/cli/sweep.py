"""Sweeps: names of their runs, runs that were finished or begun before, and the table at the end."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from vae2ch.cli.messages import shell_join
from vae2ch.cli.record import FINISHED, RunRecord, read_record
from vae2ch.config import RunConfig
from vae2ch.errors import InputError

MEASURES = ("val/loss", "test/log_spectral_distance", "test/multi_resolution_stft", "test/note_accuracy")
RESERVED = re.compile(r"[^\w.,=+-]+")  # characters that are replaced in names of folders
MAX_NAME = 120


def swept_keys(arguments: Iterable[str]) -> set[str]:
    """Settings and groups that have several values on the command line."""
    given = [argument for argument in arguments if not argument.startswith("-")]
    return {
        override.key_or_group
        for override in OverridesParser.create().parse_overrides(given)
        if override.is_sweep_override()
    }


def run_name(overrides: Iterable[str], swept: Iterable[str]) -> str:
    """Name of a run's folder: its values of what is swept, as ``latent_dim=32,preset=heavy``."""
    varied = set(swept)
    plain = ",".join(text for text in overrides if text.partition("=")[0].lstrip("+") in varied) or "run"
    name = RESERVED.sub("-", plain)
    if name == plain and len(name) <= MAX_NAME:
        return name
    return f"{name[:MAX_NAME]}-{hashlib.sha256(os.fsencode(plain)).hexdigest()[:6]}"  # still one for each run


def begun_before(config: RunConfig, folder: Path) -> RunRecord | None:
    """The record of a run in ``folder`` that an earlier start of the sweep has begun, if any.

    Raises ``InputError`` if it has other settings.
    """
    from vae2ch.cli.resume import flat, setting_changes

    record = read_record(folder)
    if record and (changes := list(setting_changes(flat(record.settings), flat(asdict(config))))):
        raise InputError(f"{folder} was begun with other settings ({'; '.join(changes)}); give the sweep another name=")
    return record


def run_or_resume(config: RunConfig, folder: Path) -> float:
    """One run of a sweep: skipped if it is finished, resumed if it was begun. Raises ``InputError``."""
    # here, so that error messages need not wait for torch
    from vae2ch.cli.resume import plan
    from vae2ch.cli.run import run
    from vae2ch.training.checkpoint_io import has_training_state

    record = begun_before(config, folder)
    if record is None:
        return run(config, folder)
    if record.state == FINISHED:
        print(f"{folder} is finished, and skipped", flush=True)
        return record.scores["val/loss"]
    if not has_training_state(folder / "checkpoints"):
        return run(config, folder)
    resumed, problems = plan(folder, [])
    for line in [*problems, resumed.summary() if resumed else ""]:
        print(line, flush=True)
    return run(config, folder, resumed)


def table(folder: Path, failures: Mapping[str, str]) -> str:
    """The finished runs, the best first, with the command that makes it; and the others with the reason."""
    records = {path.name: read_record(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    finished = {name: record.scores for name, record in records.items() if record and record.state == FINISHED}
    lines = []
    if finished:
        width = max(map(len, finished))
        names = [measure.partition("/")[2] if measure != "val/loss" else "validation loss" for measure in MEASURES]
        lines.append(f"{'run':{width}s}  " + "  ".join(f"{name:>21s}" for name in names))
        ranked = sorted(finished, key=lambda name: finished[name]["val/loss"])
        for name in ranked:
            values = [finished[name].get(measure) for measure in MEASURES]
            cells = ["-" if value is None else f"{value:.4g}" for value in values]
            lines.append(f"{name:{width}s}  " + "  ".join(f"{cell:>21s}" for cell in cells))
        lines.append(
            f"Best      {shell_join(command_of(folder / ranked[0]))}   (it is in {os.path.relpath(folder / ranked[0])})"
        )
    lines += [f"Failed    {name}: {reason}" for name, reason in failures.items()]
    return "\n".join(lines)


def command_of(folder: Path) -> list[str]:
    """Command of a single run with the settings of a run of a sweep."""
    overrides = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    texts = cast(list[str], OmegaConf.to_container(overrides))  # not resolved, as an iteration would be
    return ["python", "train.py", *(text for text in texts if not text.startswith("name="))]
