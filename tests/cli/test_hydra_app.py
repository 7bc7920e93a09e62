"""Hydra's command line: quoting, error messages, and no side effects."""

import ast

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.helpers import ROOT, assert_one_line_error, python
from vae2ch.cli.hydra_app import quote_path

pytestmark = pytest.mark.slow  # runs many commands

TRAIN = ROOT / "train.py"
NAMES = [
    "über (1)=x",
    "it's [here]",
    'say "so"',
    "a b",
    "{a: 1}",
    "a,b",
    "~/sounds",
    "~nosuchuser/x",
    "100%",
    "a:b",
    "x\\y",
    "a@b#c!",
    " leading",
    "line\nbreak",
]
# runs the program in this process, as another program may
EMBEDDED = f"""
import argparse, runpy, sys
error, arguments = argparse.ArgumentParser.error, [{str(TRAIN)!r}, "latent_dim=0"]
sys.argv = list(arguments)
try:
    runpy.run_path({str(TRAIN)!r}, run_name="__main__")
except SystemExit as exit:
    print((exit.code, argparse.ArgumentParser.error is error, sys.argv == arguments))
"""


@pytest.mark.parametrize("key", ["data.root", "data.cache"])
@pytest.mark.parametrize("path", ["sounds", "/a/b-c_d.e+f", *NAMES])
def test_a_path_needs_no_quotes_of_its_own(key, path):
    (override,) = OverridesParser.create().parse_overrides([quote_path(f"{key}={path}")])
    assert override.key_or_group == key
    assert override.value() == path


@pytest.mark.parametrize(
    "argument",
    ["data.root=/a/b", 'data.root="a b"', "data.root='a b'", "data.root=$HOME/x", "name=a b", "data.root", "-m"],
)
def test_other_arguments_are_left_alone(argument):
    assert quote_path(argument) == argument


def test_a_sweep_over_folders_is_not_quoted():
    assert quote_path("data.root=a b,c d", sweep=True) == "data.root=a b,c d"
    assert quote_path("data.root=a b", sweep=True) == 'data.root="a b"'


def test_running_the_program_in_a_process_changes_neither_its_arguments_nor_argparse(tmp_path):
    done = python("-c", EMBEDDED, cwd=tmp_path)
    assert "latent_dim=0 is out of range" in done.stderr
    assert ast.literal_eval(done.stdout) == (2, True, True)


@pytest.mark.parametrize("module", ["", ".config", ".cli.hydra_app", ".cli.settings", ".cli.commands"])
def test_settings_and_commands_appear_without_torch(module):
    names = ("torch", "lightning", "matplotlib")
    code = f"import sys, vae2ch{module}; print([name for name in {names} if name in sys.modules])"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["latent_dimm=3"], ["latent_dimm", "did you mean latent_dim?"]),
        (["trainer.max_epoch=3"], ["trainer.max_epoch", "did you mean trainer.max_epochs?"]),
        (["+sead=3"], ["sead", "did you mean seed?"]),
        (["preset=hevy"], ["preset=hevy", "did you mean heavy?"]),
        (["experiment=nothing"], ["experiment=nothing", "overfit_batch"]),
        (["latent_dim=many"], ["latent_dim=many", "Integer"]),
        (["latent_dim=0"], ["latent_dim=0", "1 to 65536"]),
        (["model.dropout=1.5"], ["model.dropout=1.5", "0.0 to 0.95"]),
        (["training.learning_rate=nan"], ["training.learning_rate=nan", "out of range"]),
        (["trainer.precision=8-bit"], ["trainer.precision=8-bit", "bf16-mixed"]),
        (["latent_dim"], ["latent_dim", "key=value"]),
        (["latent_dim=1,2"], ["latent_dim=1,2", "--multirun"]),
        (["data=folder"], ["data.root=DIR"]),
        (["data=null"], ["data=null", "name of one of its options"]),
        (["minutes=inf"], ["minutes=inf", "0.01 to"]),
        (["trainer.devices=abc"], ["trainer.devices=abc", "Integer"]),
        (["trainer.limit_val_batches=0"], ["trainer.limit_val_batches=0", "at least 1"]),
        (["hydra.run.dir=/proc/nope"], ["/proc/nope"]),
        (["--nonsense"], ["--nonsense", "key=value"]),
        (["name=../../up"], ["name=../../up"]),
    ],
)
def test_errors_are_one_line_and_leave_no_files(arguments, parts, tmp_path):
    assert_one_line_error(python(TRAIN, *arguments, cwd=tmp_path), *parts)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_named_outputs_is_an_error(tmp_path):
    (tmp_path / "outputs").write_text("a file in its place")
    assert_one_line_error(python(TRAIN, cwd=tmp_path), "cannot write to", "outputs")


def test_a_sweep_over_several_devices_is_rejected(tmp_path):
    done = python(TRAIN, "-m", "latent_dim=1,2", "trainer.devices=2", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("use trainer.devices=1") == 2
    assert done.stdout.count("Failed    latent_dim=") == 2
    assert "Traceback" not in done.stderr


def test_help_lists_groups_and_settings(tmp_path):
    done = python(TRAIN, "--help", cwd=tmp_path)
    assert done.returncode == 0
    for part in ("preset: heavy, light, medium", "latent_dim: 128", "representation: 16k, 22k, 44k, 48k"):
        assert part in done.stdout
