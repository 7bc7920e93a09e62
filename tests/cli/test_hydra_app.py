"""Hydra's command line: error messages, and no side effects."""

import ast

import pytest

from tests.helpers import ROOT, python

pytestmark = pytest.mark.slow  # runs many commands

TRAIN = ROOT / "train.py"
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
        (["data=folder", "data.root=${oc.env:VAE2CH_UNSET}/a"], ["data.root: ", "variable VAE2CH_UNSET is not set"]),
        (["name=${oc.env:VAE2CH_UNSET}"], ["name: ", "variable VAE2CH_UNSET is not set"]),
        (["start=${nowhere:1}"], ["start: Unsupported interpolation type nowhere"]),
        (["data.cache=${now}"], ["data.cache: Interpolation key 'now' not found"]),
        (["data=folder", "data.root=${data.root}"], ["data.root: Recursive interpolation"]),
        (["data=folder", "data.root='a"], ["data.root='a cannot be read: a quote"]),
        (["start=${seed"], ["start=${seed cannot be read: ", "${ is not closed"]),
    ],
)
def test_errors_are_one_line_and_leave_no_files(arguments, parts, tmp_path, refused):
    line = refused(tmp_path, *arguments)
    assert [part for part in parts if part not in line] == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_named_outputs_is_an_error(tmp_path, refused):
    (tmp_path / "outputs").write_text("a file in its place")
    assert "cannot write to outputs" in refused(tmp_path, "name=unwritten")


def test_a_sweep_over_several_devices_is_rejected(tmp_path):
    done = python(TRAIN, "-m", "latent_dim=1,2", "trainer.devices=2", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("use trainer.devices=1") == 2
    assert done.stdout.count("Failed    latent_dim=") == 2
    assert "Traceback" not in done.stderr
