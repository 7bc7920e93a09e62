"""Errors in the input end a program with one line."""

import pytest

from vae2ch.cli.messages import ReportedError, exit_on_error
from vae2ch.errors import InputError, suggest


@pytest.mark.parametrize(
    ("error", "status", "output"),
    [
        (InputError("a\n  b"), 2, "vae2ch: a b\n"),
        (OSError(28, "No space left on device", "/x/y"), 2, "vae2ch: /x/y: No space left on device\n"),
        (OSError(28, "No space left on device"), 2, "vae2ch: input or output: No space left on device\n"),
        (KeyboardInterrupt(), 130, "vae2ch: interrupted\n"),
        (ReportedError("printed before"), 2, ""),
    ],
)
def test_the_message_is_one_line_and_the_status_says_what_happened(error, status, output, capsys):
    with pytest.raises(SystemExit) as caught, exit_on_error():
        raise error
    assert caught.value.code == status
    assert capsys.readouterr() == ("", output)


def test_a_current_folder_that_was_deleted_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit), exit_on_error():
        pytest.fail("nothing can be done there")
    assert capsys.readouterr().err.startswith("vae2ch: the current folder has been deleted")


def test_errors_of_the_program_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), exit_on_error():
        raise ZeroDivisionError


def test_a_close_name_is_suggested_and_a_distant_one_is_not():
    assert suggest("latnt", ["latent", "seed"]) == "did you mean latent? allowed: latent, seed"
    assert suggest("xyz", ["latent", "seed"]) == "allowed: latent, seed"
