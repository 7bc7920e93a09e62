"""Hydra's command line with one-line error messages."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vae2ch.callbacks.signals import Signals
from vae2ch.cli import CONF, environment, settings, sweep
from vae2ch.cli.arguments import check
from vae2ch.cli.help import print_help
from vae2ch.cli.hydra_errors import as_input_errors
from vae2ch.cli.messages import ReportedError, command_to_resume, exit_on_error, is_out_of_memory, shell_join
from vae2ch.cli.paths import quote_path, unquoted
from vae2ch.cli.run_folder import locked, removed_if_unused, removing_unused
from vae2ch.config import RunConfig
from vae2ch.errors import InputError

SWEEP: dict[Path, str] = {}  # folders of the runs of the current sweep, and why they failed or ""


def main(task: Callable[[DictConfig], float], arguments: Sequence[str]) -> None:
    """Run ``task`` with the settings of ``conf/`` and of the command line, and exit.

    This is what ``hydra.main`` does as of Hydra 1.3.8 (pyproject.toml: below 1.4), except that the arguments are
    passed in, quoted where they are paths, and that errors become one line.
    """
    environment.prepare()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors; otherwise it prints them and exits
    version.setbase("1.3")
    Signals().install()
    with exit_on_error(), as_input_errors(arguments):
        if not {"-h", "--help"}.isdisjoint(arguments):
            print_help()
            return
        check(arguments)
        resumed = [argument for argument in arguments if argument.startswith("resume=")]
        if resumed:
            path = unquoted(resumed[-1].removeprefix("resume="))
            resume(path, [quote_path(argument) for argument in arguments if argument not in resumed])
            return
        parser = get_args_parser()
        parser.error = reject_arguments  # type: ignore[method-assign]
        sweeping = not {"-m", "--multirun"}.isdisjoint(arguments)
        quoted = [quote_path(argument, sweeping) for argument in arguments]
        swept = sweep.swept_keys(quoted) if sweeping else set()
        settings.register(swept, named=any(argument.startswith("name=") for argument in arguments))
        parsed = parser.parse_args(quoted)
        with removing_unused(), sweep_summary(arguments) if sweeping else nullcontext():
            _run_hydra(args=parsed, args_parser=parser, task_function=task, config_path=str(CONF), config_name="config")


@contextmanager
def sweep_summary(arguments: Sequence[str]) -> Iterator[None]:
    """Print a table after a sweep, and exit with status 1 if a run failed."""
    SWEEP.clear()
    try:
        yield
    except ReportedError:  # Hydra raises the first error after the last run
        pass
    except SystemExit:
        if SWEEP:
            name = next(iter(SWEEP)).parent.name
            again = shell_join([*(text for text in arguments if not text.startswith("name=")), f"name={name}"])
            print(f"vae2ch: the sweep goes on with python train.py {again}", file=sys.stderr)
        raise
    failures = {folder.name: reason for folder, reason in SWEEP.items() if reason}
    if SWEEP:
        print(sweep.table(next(iter(SWEEP)).parent, failures))
    if failures:
        raise SystemExit(1)


def resume(path: Path, overrides: Sequence[str]) -> None:
    """Go on with the run in a folder or of a checkpoint. Raises ``InputError``."""
    # here, so that error messages need not wait for torch
    from vae2ch.cli import processes
    from vae2ch.cli.resume import folder_of, has_no_time_limit, plan
    from vae2ch.cli.run import run

    first = processes.rank() == 0
    # a process that Lightning has started finds the changed settings in the run's folder
    given = overrides if first or "TORCHELASTIC_RUN_ID" in os.environ else []
    with locked(folder_of(path)) if first else nullcontext():
        resumed, problems = processes.shared("resumed", lambda: plan(path, given))
        for problem in problems if first else []:
            print(f"vae2ch: {problem}; going on from an older one", file=sys.stderr)
        if resumed is None:
            limit = "trainer.max_epochs=+20" if has_no_time_limit(folder_of(path)) else "minutes=+10"
            print(f"{path} is finished; train it for longer with {command_to_resume(path, limit)}")
            return
        if first:
            print(resumed.summary(), flush=True)
        run(resumed.config, resumed.folder, resumed)


def reject_arguments(message: str) -> NoReturn:
    """Replace argparse's usage text, which has many lines."""
    raise InputError(f"{message} (settings are written key=value; --help lists them)")


@contextmanager
def job() -> Iterator[Path]:
    """Yield the folder of the current run. An ``InputError`` ends the program; in a sweep, any error only this run."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    sweeping = hydra.mode == RunMode.MULTIRUN
    if sweeping:
        SWEEP[folder] = ""
    try:
        with removed_if_unused(folder):
            yield folder
    except Exception as error:
        if sweeping:
            if not isinstance(error, InputError) and not is_out_of_memory(error):
                traceback.print_exc()
            SWEEP[folder] = " ".join(str(error).split()) or type(error).__name__
            print(f"vae2ch: {folder.name}: {SWEEP[folder]}", file=sys.stderr)
            raise ReportedError(str(error)) from None
        with exit_on_error():  # at once, as Hydra would print a line of its own
            raise


def run_job(config: RunConfig, folder: Path) -> float:
    """Run with checked settings; in a sweep, go on with what was begun before. Raises ``InputError``."""
    check_sweep(config)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return sweep.run_or_resume(config, folder)
    from vae2ch.cli.run import run  # here, so that error messages need not wait for torch

    return run(config, folder)


def check_sweep(config: RunConfig) -> None:
    """Reject a sweep with several devices by ``InputError``: each of a run's processes would start the whole sweep."""
    devices = config.trainer.devices
    if HydraConfig.get().mode == RunMode.MULTIRUN and devices > 1:
        raise InputError(f"-m with trainer.devices={devices}: a sweep takes one device; use trainer.devices=1")
