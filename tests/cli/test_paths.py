"""Folders are found however they are called; an empty path is an error."""

import os
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

import train
from tests.helpers import compose
from vae2ch.cli import hydra_app, sweep
from vae2ch.cli.messages import shell_join
from vae2ch.cli.paths import quote_path, unquoted
from vae2ch.cli.record import RunRecord
from vae2ch.cli.resume import changed_config
from vae2ch.errors import InputError
from vae2ch.files import expand_home

PLAIN = ["sounds", "a-b_c.d+e", "a b", "100%"]
NAMES = [
    *PLAIN,
    "über (1)=x",
    "it's [here]",
    'say "so"',
    "'a'",
    '"a"',
    "'",
    '"',
    "{a: 1}",
    "[a,b]",
    "a,b",
    "~x",
    "$x",
    "${x}",
    "a${data.cache}\\",
    "\\${",
    "null",
    "true",
    "3",
    "1e3",
    "-kicks",
    "--out",
    "=",
    "data.root=x",
    ":",
    "#",
    "x\\y\\",
    '\\"',
    "a@b!c",
    " leading and trailing  ",
    "  ",
    "line\nbreak",
    "\t",
    "range(3)",
    "\N{GUITAR}",
    "\udcff\udce4",  # bytes that are no UTF-8
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_folder_that_exists_is_found_however_it_is_called(name, place):
    (place / name).mkdir()
    settings = [quote_path(f"{key}={name}") for key in ("data.root", "+data.cache", "start")]
    found = compose("data=folder", *(text.lstrip("+") for text in settings))
    assert (found.data.root, found.data.cache, found.start) == (name, name, name)
    assert compose(quote_path(f"data.cache={name}/new [1]")).data.cache == f"{name}/new [1]"
    assert expand_home(f"{name}/new") == Path(name, "new")
    assert quote_path(f"data.root={name}", sweep=True).endswith(settings[0].partition("=")[2])
    assert expand_home(name) == unquoted(name) == Path(name)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_resumed_run_finds_it_too(name, place):
    (place / name).mkdir()
    record = RunRecord(asdict(compose()))
    record.settings["data"]["cache"] = name  # of the run before
    assert changed_config(record, [quote_path(f"data.root={name}")]).data.root == name
    assert changed_config(record, []).data.cache == name


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_printed_command_has_the_name_after_it_was_pasted(name):
    command = shell_join(["printf", "%s", f"resume={name}"])
    assert len(command.splitlines()) == 1
    done = subprocess.run(["bash", "-c", os.fsencode(command)], capture_output=True, check=True)
    assert os.fsdecode(done.stdout) == f"resume={name}"


@pytest.mark.parametrize("name", ["a b", "über (1)", "it's", "/a/b", "a=b,c", "3", "true"])
def test_a_folder_that_does_not_exist_keeps_its_name(name, place):
    assert compose("data=folder", quote_path(f"data.root={name}")).data.root == name


@pytest.mark.parametrize(
    "argument",
    ["data.root=/a/b", 'data.root="a b"', "data.root='a b'", "data.root=${data.cache}", "data.cache=null", "name=a b"],
)
def test_other_arguments_are_left_to_hydra(argument, place):
    assert quote_path(argument) == argument


def test_an_interpolation_that_is_no_name_is_resolved(place):
    assert compose("seed=3", quote_path(f"data.cache={place}/a (${{seed}})")).data.cache == f"{place}/a (3)"


def test_a_comma_separates_folders_in_a_sweep_unless_they_are_one(place):
    for name in ("a (1)", "c", "x, y"):
        (place / name).mkdir()
    assert quote_path("data.root=a (1),c,new", sweep=True) == 'data.root="a (1)",c,new'
    assert quote_path("data.root=a (1), c", sweep=True) == 'data.root="a (1)",c'
    assert quote_path("data.root=x, y", sweep=True) == 'data.root="x, y"'
    assert sweep.swept_keys([quote_path("data.root=x, y", sweep=True)]) == set()


def test_quotes_of_hydra_are_understood_by_resume_too(place):
    assert str(unquoted('"outputs/a b"')) == "outputs/a b"
    assert str(unquoted("~/x")) == os.path.expanduser("~/x")
    with pytest.raises(InputError, match="resume= is empty"):
        unquoted('""')


@pytest.mark.parametrize(
    ("setting", "meaning"), [('data.root=""', "folder of the sounds"), ('start="  "', "pca"), ("data.cache=''", "null")]
)
def test_an_empty_path_never_means_here(setting, meaning, place):
    key = setting.partition("=")[0]
    with pytest.raises(InputError, match=rf"^{key} is empty; give a value \(.*{meaning}"):
        compose("data=folder", "data.root=x", setting)


def test_the_entry_takes_the_folder_of_the_command_line(place, capsys):
    (place / "[a] ${b}").mkdir()
    with pytest.raises(SystemExit):
        hydra_app.main(train.train, ["data=folder", "data.root=[a] ${b}", "name=x"])
    assert "no sound file in [a] ${b}" in capsys.readouterr().err
