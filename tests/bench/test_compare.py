import sys

import pytest
import torch

from tests.helpers import QUICK, python
from vae2ch.bench import common, compare
from vae2ch.cli.run import build
from vae2ch.data import SoundDataModule
from vae2ch.errors import InputError

SMALL = [setting for setting in QUICK if setting.startswith(("representation", "data"))]


@pytest.fixture(autouse=True)
def _in_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the cache


def rows_of(table):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


@pytest.mark.slow
def test_a_variant_changes_the_result_and_an_equal_one_does_not(folder, tmp_path):
    variants = ("as it is:", "same: preset=heavy", "frozen: training.learning_rate=0", "random: start=random")
    variants += ("averaged: averaged_weights",)
    flags = [part for text in variants for part in ("--variant", text)]
    arguments = ("-m", "vae2ch.bench.compare", "--data", folder, "--steps", "3", *flags, *SMALL)
    done = python(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    assert list(rows) == ["as it is", "same", "frozen", "random", "averaged"]
    assert rows["as it is"] == rows["same"]
    assert rows["as it is"] != rows["frozen"]
    assert rows["averaged"] not in (rows["as it is"], rows["frozen"])
    assert float(rows["as it is"]["magnitude"]) < float(rows["random"]["magnitude"])
    assert all(0 < float(row["LSD (dB)"]) < 60 for row in rows.values())
    assert {row["steps"] for row in rows.values()} == {"3"}


def test_without_a_step_the_start_is_measured(folder):
    parser = common.build_parser("compare", "", "")
    variants = ["it:", "slow: training.learning_rate=1e-5", "random: start=random"]
    parser.set_defaults(steps=0, minutes=None, seeds=1, sizes=None, variant=variants)
    rows = rows_of(compare.compare(parser.parse_args(["--data", str(folder), "start=pca", *SMALL])))
    assert rows["it"] == rows["slow"] != rows["random"]
    assert rows["it"]["steps"] == "0"


@pytest.mark.slow
def test_sizes_and_seeds(folder, monkeypatch):
    torch.set_num_threads(1)  # faster for small spectrograms
    monkeypatch.setattr(compare, "initialise", lambda *_: None)
    parser = common.build_parser("compare", "", "")
    arguments = {"steps": 1, "minutes": None, "seeds": 2, "sizes": [2, 4]}
    parser.set_defaults(**arguments, variant=["float32: trainer.precision=32-true"])
    rows = rows_of(compare.compare(parser.parse_args(["--data", str(folder), *SMALL])))
    assert set(rows) == {"float32, 2 segments", "float32, 4 segments"}
    assert len({tuple(row.values()) for row in rows.values()}) == 2
    assert all(" to " in row["LSD (dB)"] for row in rows.values())  # the seeds differ


def test_a_smaller_set_is_part_of_a_larger_one(folder):
    config = common.settings(folder, SMALL)

    def names(count):
        data, _ = build(config)
        data.setup()
        compare.keep_segments(data, count)
        return {data.label("train", index) for index in range(count)}

    small, large = names(2), names(4)
    assert small < large
    assert small == names(2)


def test_a_set_larger_than_the_collection_is_refused(folder):
    data: SoundDataModule = build(common.settings(folder, SMALL))[0]
    data.setup()
    with pytest.raises(InputError, match="--sizes 9999"):
        compare.keep_segments(data, 9999)


def test_cells_have_the_range_of_different_values():
    assert compare.cell([1.0, 3.0]) == "2 (1 to 3)"
    assert compare.cell([2.0, 2.0]) == "2"


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("x: kernels_4x5", "did you mean kernels_4x4"),
        ("preset=heavy", "a name and a colon"),
        ("longer: minutes=5", "minutes=5 has no effect here"),
    ],
)
def test_an_unusable_variant_is_refused(folder, variant, message):
    options = common.build_parser("compare", "", "").parse_args(["--data", str(folder)])
    with pytest.raises(InputError, match=message):
        compare.parse_variant(variant, options)


def test_a_variant_is_a_name_with_overrides_and_patches(folder):
    options = common.build_parser("compare", "", "").parse_args(
        ["--data", str(folder), "seed=3", "training.kl_weight=1"]
    )
    name, config, patches = compare.parse_variant("my name: kernels_4x4 training.kl_weight=2 preset=light", options)
    assert (name, patches) == ("my name", ["kernels_4x4"])
    assert (config.seed, config.training.kl_weight, config.preset) == (3, 2.0, "light")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variant", "x: augment.sped=1"], "augment.sped; did you mean augment.speed?"),
        (["--minutes", "0"], "--minutes: 0 is no number above 0"),
        (["--minutes", "nan"], "--minutes: nan is no number above 0"),
        (["--steps=-1"], "--steps: -1 is no integer from 0"),
        (["--sizes", "0"], "--sizes: 0 is no integer from 1"),
        (["--seeds", "1.5"], "--seeds: 1.5 is no integer from 1"),
    ],
)
def test_what_cannot_be_compared_is_one_line(arguments, message, folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare", "--data", str(folder), *arguments])
    with pytest.raises(SystemExit):
        compare.main()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
