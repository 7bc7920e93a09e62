import os
import subprocess

import pytest

from vae2ch.files import replace_text, replacing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"ne")
        assert path.read_text() == "old"
        file.write(b"w")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(TypeError), replacing(path, keep=tmp_path / "b.txt") as file:
        file.writelines([b"half", "a text"])
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_file_before_can_be_kept(tmp_path):
    path, kept = tmp_path / "a.txt", tmp_path / "b.txt"
    for text in ("1", "2", "3"):
        with replacing(path, keep=kept) as file:
            file.write(text.encode())
    assert (path.read_text(), kept.read_text()) == ("3", "2")


def test_text_may_hold_names_that_are_no_unicode(tmp_path):
    replace_text(tmp_path / "a.txt", "ü\udcff")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xbc\xff"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB; needs the right to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_on_a_full_disk_the_old_file_is_kept(small_disk):
    path = small_disk / "a.bin"
    path.write_bytes(b"old" * 200_000)
    with pytest.raises(OSError, match="No space left"), replacing(path) as file:
        file.write(b"new" * 200_000)
    assert path.read_bytes() == b"old" * 200_000
    assert names(small_disk) == ["a.bin"]
