from concurrent.futures import ThreadPoolExecutor

import pytest

from vae2ch.callbacks.signals import Interrupted
from vae2ch.cli import run_folder
from vae2ch.cli.run_folder import create_run_folder, remove_unused, removed_if_unused, removing_unused
from vae2ch.errors import FolderInUseError, InputError

create = create_run_folder.__wrapped__  # without the cache


def test_the_folder_of_a_run_is_created_once(tmp_path):
    first = create_run_folder(str(tmp_path), "a")
    assert create_run_folder(str(tmp_path), "a") == first == str(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_runs_of_the_same_name_get_numbers(tmp_path):
    folders = [create(str(tmp_path / "outputs"), "a") for _ in range(3)]
    assert folders == [str(tmp_path / "outputs" / name) for name in ("a", "a-2", "a-3")]


def test_runs_that_start_at_the_same_time_get_different_folders(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: create(str(tmp_path), "a"), range(40)))
    assert len(set(folders)) == 40


def test_an_outputs_link_without_a_target_is_rejected(tmp_path):
    (tmp_path / "outputs").symlink_to(tmp_path / "unmounted" / "disk")
    with pytest.raises(InputError, match="cannot write to"):
        create(str(tmp_path / "outputs"), "a")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "-x", "a b", "a\n"])
def test_a_name_cannot_lead_out_of_outputs(name, tmp_path):
    with pytest.raises(InputError, match="name="):
        create(str(tmp_path), name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["über-1", "2026-01-01_00-00-00", "a.b+c"])
def test_names_of_letters_digits_and_signs_are_allowed(name, tmp_path):
    assert create(str(tmp_path), name) == str(tmp_path / name)


@pytest.mark.parametrize("extra", [None, "metrics.csv", "thesis.txt", ".hydra/mine.yaml", "audio/a.wav"])
def test_only_a_run_that_never_began_is_removed(extra, tmp_path):
    run = tmp_path / "run"
    written = {*run_folder.WRITTEN_BEFORE_TRAINING, "events.out.tfevents.1.host.2.0"}
    files = written | ({extra} if extra else set())
    for name in files:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    remove_unused(run)
    if extra is None:
        assert not run.exists()
    else:
        assert {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()} == files


ERRORS = [InputError("x"), OSError(28, "full"), MemoryError(), RuntimeError("x"), KeyboardInterrupt(), Interrupted(15)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("begun_before", [True, False])
def test_after_any_error_a_folder_is_left_only_if_it_was_begun_before(error, begun_before, tmp_path):
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "config.yaml").touch()
    if begun_before:
        (run / "run.json").touch()

    def prepare():
        (run / ".lock").touch()
        (run / "sounds.csv").touch()
        raise error

    with pytest.raises(type(error)), removed_if_unused(run):
        prepare()
    assert run.exists() == begun_before


def test_the_folder_of_another_process_is_left(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(FolderInUseError), removed_if_unused(tmp_path / "run"):
        raise FolderInUseError("x")
    assert (tmp_path / "run").exists()


def test_folders_that_were_created_for_nothing_are_removed(tmp_path):
    run_folder.CREATED.clear()
    (tmp_path / "old").mkdir()
    with removing_unused():
        create(str(tmp_path), "sweep", reuse=True)
        (tmp_path / "sweep" / "multirun.yaml").touch()
        create(str(tmp_path), "used")
        (tmp_path / "used" / "metrics.csv").touch()
        create(str(tmp_path), "old", reuse=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "used"]
