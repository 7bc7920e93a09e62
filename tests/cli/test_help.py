"""``python train.py --help``."""

import pytest

from tests.helpers import ROOT, compose
from vae2ch.cli import hydra_app
from vae2ch.cli.help import help_text, value_text
from vae2ch.config import RunConfig, leaves

TEXT = help_text()


def value_of(config, key):
    for name in key.split("."):
        config = getattr(config, name)
    return config


def test_every_setting_is_there_with_its_default_its_meaning_and_what_is_allowed():
    defaults, words = compose("preset=auto"), " ".join(TEXT.split())
    for key, item in leaves(RunConfig):
        value = "" if key == "name" else value_text(value_of(defaults, key))
        assert f"\n  {key}={value}" in TEXT, key
        assert item.metadata["meaning"] in words, key
    for part in ("(1 to 65536)", "(0 to 0.9)", "(auto, 32-true, bf16-mixed)", "(true, false)", "(1 to 32)", "or null)"):
        assert part in words, part


def test_every_option_of_every_group_is_there_with_its_first_comment():
    words = " ".join(TEXT.split())
    paths = sorted((ROOT / "conf").glob("*/*.yaml"))
    assert len(paths) > 10
    for path in paths:
        comments = [line[2:] for line in path.read_text().splitlines() if line.startswith("# ") and "@" not in line]
        assert f" {path.parent.name}={path.stem} {comments[0]}" in words
    default = "heavy, medium or light, by the geometric mean of the numbers of recordings and of segments"
    assert f"auto {default} (default)" in words.replace("preset=", "")


def test_it_is_plain_text_of_100_columns_that_begins_with_examples():
    assert max(map(len, TEXT.splitlines())) <= 100
    for example in ("data=folder data.root=", "train.py -m ", "train.py resume="):
        assert example in TEXT[:900]


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["-x", "latent_dim", "data=nothing", "--help"]])
def test_it_is_printed_whatever_else_is_wrong(arguments, capsys):
    hydra_app.main(pytest.fail, arguments)
    printed, errors = capsys.readouterr()
    assert printed[:200] == TEXT[:200]
    assert errors == ""
