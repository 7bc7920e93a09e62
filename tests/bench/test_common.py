import importlib
import shutil
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import QUICK
from vae2ch.bench import common
from vae2ch.data.summary import REMOVED
from vae2ch.errors import InputError

pytestmark = pytest.mark.slow  # trains a model


@pytest.fixture(autouse=True)
def _in_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the cache


MEASUREMENTS = ("base", "compare", "grain", "instruments", "near_copies", "recorded", "shares", "sound", "speed")


@pytest.mark.parametrize(
    "module",
    [*(f"vae2ch.bench.{name}" for name in MEASUREMENTS), "tests.fuzz"],
)
def test_help_has_an_example(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["PROGRAM", "--help"])
    with pytest.raises(SystemExit):
        importlib.import_module(module).main()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if f"python -m {module} " in line and not line.startswith("usage")]


def test_the_preset_suits_the_collection_unless_one_is_given(folder):
    assert common.settings(folder, QUICK).preset == "heavy"
    assert common.settings(folder, ["preset=light", *QUICK]).preset == "light"


def test_a_finished_run_is_loaded_with_its_data(folder, trained):
    run, _ = trained
    config = common.settings(folder, QUICK)
    for path in (run, run / "checkpoints" / "best.ckpt"):
        codec, data = common.load(path, config)
        assert int(codec.latents.segments) > 0
        assert data.datasets["test"]


def test_a_checkpoint_is_given_by_its_name_alone_and_sounds_that_were_removed_are_no_others(
    folder, trained, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    with (run / "sounds.csv").open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"gone \udcff.wav,test,,,digest,,{REMOVED}\n")
    monkeypatch.chdir(run / "checkpoints")
    _, data = common.load(Path("best.ckpt"), common.settings(folder, QUICK))
    assert data.datasets["test"]


def test_a_run_with_another_representation_is_refused(folder, trained):
    with pytest.raises(InputError, match=r"representation\.n_fft=254"):
        common.load(trained[0], common.settings(folder, ()))


def test_a_run_of_other_sounds_is_refused_and_its_split_is_kept(folder, trained, tmp_path):
    _, expected = common.load(trained[0], common.settings(folder, QUICK))
    _, data = common.load(trained[0], common.settings(folder, [*QUICK, "seed=1"]))
    assert data.collection.splits == expected.collection.splits
    others = tmp_path / "others"
    shutil.copytree(folder, others)
    (others / expected.collection.splits["train"][0].name).unlink()
    with pytest.raises(InputError, match="was trained on other sounds"):
        common.load(trained[0], common.settings(others, QUICK))


def test_a_missing_run_is_refused(folder):
    with pytest.raises(InputError, match="gone does not exist"):
        common.load(Path("gone"), common.settings(folder, QUICK))


def test_segments_are_of_the_split(folder, trained):
    _, data = common.load(trained[0], common.settings(folder, QUICK))
    waves, lengths, labels = common.segments(data, "train", 3)
    assert waves.shape == (3, data.representation.segment)
    assert len(lengths) == len(labels) == 3
    held_out = {label for split in ("validation", "test") for label in common.segments(data, split, 999)[2]}
    assert not held_out & set(common.segments(data, "train", 999)[2])
    assert torch.isfinite(waves).all()


def test_a_table_has_one_line_per_row():
    assert common.table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | --- |\n| x/y | 1 |"
