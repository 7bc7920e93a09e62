"""Streams and variables that the programs prepare; each case in a process, as that is what is prepared."""

import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from vae2ch.cli import environment
from vae2ch.terminal import one_line

PRINT = """
import sys
from vae2ch.cli import environment
environment.prepare()
environment.prepare()  # again, as for a run within a program
print("太鼓 \\udcff", flush=True)
print("ü", file=sys.stderr)
from tqdm import tqdm
for _ in tqdm(range(3), mininterval=0): pass
open(sys.argv[1], "w").write(str([sys.stdout.encoding, sys.stderr.errors]))
print(5000 * "much ")
"""


def run(redirection, place, **variables):
    """The program above in a shell, with its exit status and what it wrote."""
    command = f'"$PYTHON" -c "$CODE" "{place / "end"}" {redirection}'
    given = {"PYTHON": sys.executable, "CODE": PRINT, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(["bash", "-c", command], env=os.environ | given, capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr, (place / "end").exists()


@pytest.mark.parametrize(
    "redirection",
    [">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full", "2> /dev/full", "> /dev/full 2>&1", "| true; exit ${PIPESTATUS[0]}"],
)
def test_printing_never_fails(redirection, tmp_path):
    status, _, error, ended = run(redirection, tmp_path)
    assert (status, ended) == (0, True)
    assert b"Traceback" not in error
    assert b"ignored" not in error


@pytest.mark.parametrize(
    ("encoding", "text"), [("ascii", b"\\u592a"), ("latin-1:strict", b"\\u592a"), ("utf-8", "太".encode())]
)
def test_a_terminal_may_have_any_encoding(encoding, text, tmp_path):
    status, output, error, _ = run("", tmp_path, PYTHONIOENCODING=encoding)
    assert status == 0
    assert output.startswith(text)
    assert b"\\udcff" in output
    assert b"Traceback" not in error


def test_the_streams_of_another_program_are_left_alone():
    before = sys.stdout, sys.stderr  # pytest's
    environment.protect_streams()
    assert (sys.stdout, sys.stderr) == before


def test_an_unknown_user_without_home_and_display_is_prepared_for(monkeypatch, tmp_path):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr(environment.tempfile, "tempdir", None)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    environment.prepare()
    assert os.environ["LOGNAME"] == f"user-{os.getuid()}"
    assert os.environ["MPLBACKEND"] == "agg"
    assert os.path.isdir(os.environ["TMPDIR"])
    assert os.environ["HOME"] == os.environ["TMPDIR"]


def test_without_a_temporary_folder_that_of_the_runs_is_used(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment.tempfile, "_get_default_tempdir", lambda: (_ for _ in ()).throw(FileNotFoundError))
    monkeypatch.setattr(environment.tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    environment.prepare()
    assert os.environ["TMPDIR"] == "/nonexistent"  # there is none
    (tmp_path / "outputs").mkdir()
    environment.prepare()
    assert os.environ["TMPDIR"] == str(tmp_path / "outputs" / ".cache")


def test_a_name_is_shown_in_one_line():
    assert one_line("太鼓 é\n\t\x1b[31m\x85.wav") == "太鼓 é\\n\\t\\x1b[31m\\x85.wav"
