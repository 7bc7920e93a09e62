from concurrent.futures import ThreadPoolExecutor

import pytest

from vae2ch.cli.run_folder import create_run_folder, remove_unused
from vae2ch.errors import InputError

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
    files = {".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"} | ({extra} if extra else set())
    for name in files:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    remove_unused(run)
    if extra is None:
        assert not run.exists()
    else:
        assert {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()} == files
