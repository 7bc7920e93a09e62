import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio.sounds import encoded, ffmpeg_encoded, noise, written
from vae2ch import audio
from vae2ch.audio import DecodingError, UnreadableError, list_files, printable, summarise
from vae2ch.errors import InputError

WAV = encoded(noise(0.1), suffix="wav")


@pytest.fixture
def place(tmp_path):
    """Function that writes sounds, or other contents, below a folder, and returns the folder."""

    def make(*names, data=WAV):
        for name in names:
            path = tmp_path / "sounds" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "sounds"

    return make


def names(root):
    """Names of the files that are listed."""
    return [path.relative_to(root).as_posix() for path in list_files(root).files]


def failing(monkeypatch, function, part, error):
    """Make a function of ``os`` or ``Path`` raise an error for paths that contain ``part``."""
    owner, name = function
    original = getattr(owner, name)

    def replacement(path, *args, **kwargs):
        if part in str(path):
            raise error
        return original(path, *args, **kwargs)

    monkeypatch.setattr(owner, name, replacement)


def test_folders_are_searched_to_any_depth_and_files_are_sorted(place):
    root = place("b.wav", "a/ä ö.FLAC", "a/deep/er/c.mp3", "[x] 'y' $z/null.wav", "-dash.wav")
    assert names(root) == ["-dash.wav", "[x] 'y' $z/null.wav", "a/deep/er/c.mp3", "a/ä ö.FLAC", "b.wav"]


def test_a_folder_without_sounds_is_refused_with_what_was_left_out(place, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        list_files(tmp_path / "nowhere")
    with pytest.raises(InputError, match="does not exist"):
        list_files(tmp_path / ("n" * 30) / "below")
    with pytest.raises(InputError, match="is a file, not a folder"):
        list_files(place("a.wav") / "a.wav")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no sound file in .*looked for \.wav, .*\.m4a"):
        list_files(tmp_path / "empty")
    root = place("notes.txt", ".Trash-1000/a.wav", data=b"text")
    (root / "a.wav").unlink()
    with pytest.raises(
        InputError, match=r"left out hidden folders \(1\): \.Trash-1000; left out other files \(1\): \.txt 1"
    ):
        list_files(root)


def test_linked_folders_are_followed_and_each_place_is_listed_once(place, tmp_path):
    root = place("mine/a.wav", "packs/kicks/k.wav")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "sub").mkdir(parents=True)
    (elsewhere / "sub" / "s.wav").write_bytes(WAV)
    (root / "mine" / "kicks").symlink_to(root / "packs" / "kicks")  # listed under its own name
    (root / "linked").symlink_to(elsewhere)
    (root / "linked again").symlink_to(elsewhere)
    (root / "inside").symlink_to(elsewhere / "sub")
    listed = names(root)
    assert [name for name in listed if "s.wav" not in name] == ["mine/a.wav", "packs/kicks/k.wav"]
    assert sum(name.endswith("s.wav") for name in listed) == 1
    (left_out,) = list_files(root).left_out.items()
    assert left_out[0] == "links to folders that are listed already"
    assert "mine/kicks" in left_out[1]
    assert len(left_out[1]) == 3


def test_a_folder_of_links_alone_is_read(place, tmp_path):
    root = place("packs/kicks/k.wav")
    (tmp_path / "only links").mkdir()
    (tmp_path / "only links" / "kicks").symlink_to(root / "packs" / "kicks")
    (tmp_path / "only links" / "chain").symlink_to(tmp_path / "only links" / "kicks")
    assert len(names(tmp_path / "only links")) == 1
    (tmp_path / "root").symlink_to(tmp_path / "only links")
    assert len(names(tmp_path / "root")) == 1


@pytest.mark.parametrize("target", [".", "sub", "sub/back"])
def test_loops_of_links_end(place, target):
    root = place("a.wav", "sub/b.wav")
    (root / "sub" / "back").symlink_to(root / target)
    found = list_files(root)
    assert [path.name for path in found.files] == ["a.wav", "b.wav"]
    assert [name for left_out in found.left_out.values() for name in left_out] == ["sub/back"]


def test_a_link_to_a_folder_above_is_named_and_not_followed(place, tmp_path):
    root = place("a.wav")
    (tmp_path / "beside.wav").write_bytes(WAV)
    (root / "up").symlink_to("..")
    assert names(root) == ["a.wav"]
    assert list_files(root).left_out == {"links to folders that hold this one": ["up"]}


def test_links_to_files_are_read_once_and_dangling_ones_are_named(place, tmp_path):
    root = place("a.wav")
    outside = written(tmp_path / "outside.wav", WAV)
    for link, target in {
        "again.wav": root / "a.wav",
        "out 1.wav": outside,
        "out 2.wav": outside,
        "dangling.wav": "nowhere.wav",
        "dangling": "nowhere",
        "loop": "loop",
        "text without suffix": outside,
    }.items():
        (root / link).symlink_to(target)
    found = list_files(root)
    assert [path.name for path in found.files] == ["a.wav", "dangling.wav", "out 1.wav"]
    assert found.left_out == {
        "links that lead nowhere": ["dangling", "loop"],
        "links to files that are listed already": ["again.wav", "out 2.wav", "text without suffix"],
    }
    with pytest.raises(UnreadableError, match="no such file"):
        audio.open_recording(root / "dangling.wav")


def test_hidden_files_and_the_folders_of_systems_are_left_out_and_named(place):
    hidden = [".Trash-1000/files/x.wav", ".stversions/x.wav", ".git/x.wav", ".Trashes/501/x.wav", "sub/.cache/x.wav"]
    trash = ["$RECYCLE.BIN/x.wav", "lost+found/x.wav", "@eaDir/x.wav", "__MACOSX/x.wav", "#recycle/x.wav"]
    trash += ["System Volume Information/x.wav", "files_trashbin/x.wav"]
    root = place("a.wav", "._a.wav", ".hidden.wav", "sub/b.wav", "recycled sounds/c.wav", *hidden, *trash)
    found = list_files(root)
    assert names(root) == ["a.wav", "recycled sounds/c.wav", "sub/b.wav"]
    assert {reason: len(left_out) for reason, left_out in found.left_out.items()} == {
        "hidden files": 2,
        "hidden folders": len(hidden),
        "trash and system folders": len(trash),
    }
    assert ".Trash-1000" in found.left_out["hidden folders"]


TRASHES = (".Trash/files", ".local/share/Trash/files", "#recycle", "@eaDir", ".stversions", "$RECYCLE.BIN/S-1-5")


def test_links_into_the_trash_are_left_out_and_named(place, tmp_path):
    root = place("a.wav", ".Trash-1000/files/old.wav", "Trash/info/x.trashinfo", "Trash/files/old.wav")
    targets = [root / ".Trash-1000" / "files"]
    for trash in TRASHES:
        (tmp_path / trash / "kit").mkdir(parents=True)
        (tmp_path / trash / "kit" / "x.wav").write_bytes(WAV)
        targets += [tmp_path / trash, tmp_path / trash / "kit", tmp_path / trash / "kit" / "x.wav"]
    for number, target in enumerate(targets):
        (root / f"link {number:02d}{target.suffix * target.is_file()}").symlink_to(target)
    (root / "chain").symlink_to("link 00")
    found = list_files(root)
    assert [path.name for path in found.files] == ["a.wav"]
    assert len(found.left_out["links into trash and system folders"]) == len(targets) + 1
    assert found.left_out["trash and system folders"] == ["Trash"]


def test_links_to_hidden_files_and_folders_are_a_wish(place, tmp_path):
    root = place("a.wav", ".b.wav", ".mine/c.wav", "trash/can.wav")
    (tmp_path / ".samples" / ".git" / "annex").mkdir(parents=True)
    (tmp_path / ".samples" / ".git" / "annex" / "object").write_bytes(WAV)
    (tmp_path / ".samples" / "d.wav").symlink_to(".git/annex/object")
    for link, target in {"b.wav": ".b.wav", "mine": ".mine", "samples": tmp_path / ".samples"}.items():
        (root / link).symlink_to(target)
    assert names(root) == ["a.wav", "b.wav", "mine/c.wav", "samples/d.wav", "trash/can.wav"]


def test_the_trash_is_read_if_it_is_named_itself(place):
    root = place(".Trash/files/a.wav", ".Trash/files/kit/b.wav", ".Trash/other/c.wav") / ".Trash" / "files"
    (root / "again").symlink_to(root.parent / "other")
    assert names(root) == ["a.wav", "again/c.wav", "kit/b.wav"]


def test_a_hidden_folder_that_is_named_itself_is_read(place):
    assert names(place(".mine/a.wav") / ".mine") == ["a.wav"]


def test_folders_of_runs_are_left_out_wherever_they_lie(place):
    root = place("a.wav", "deep/outputs/first/media/x.wav", "not a run/x.wav")
    for name in ("deep/outputs/first", "not a run"):
        (root / name / "run.json").write_text("{}")
    (root / "deep/outputs/first/.hydra").mkdir()
    assert names(root) == ["a.wav", "not a run/x.wav"]
    assert list_files(root).left_out["folders of runs"] == ["deep/outputs/first"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EMFILE, "too many open files"),
        (errno.EIO, "input/output error"),
        (errno.ESTALE, "stale file handle"),
    ],
)
def test_folders_and_files_that_the_system_does_not_open_are_named(place, monkeypatch, number, words):
    root = place("a.wav", "locked/b.wav", "no suffix")
    error = OSError(number, os.strerror(number))
    failing(monkeypatch, (os, "scandir"), "locked", error)
    failing(monkeypatch, (Path, "open"), "no suffix", error)
    found = list_files(root)
    assert [path.name for path in found.files] == ["a.wav"]
    assert found.left_out == {
        f"folders that cannot be read ({words})": ["locked"],
        f"files that cannot be read ({words})": ["no suffix"],
    }


def test_a_folder_that_may_not_be_entered_ends_no_listing(place, monkeypatch):
    """As for a user who is not the owner: nothing below the folder can be looked at."""
    root = place("a.wav", "locked/b.wav")
    failing(monkeypatch, (os, "scandir"), "locked", PermissionError(errno.EACCES, "Permission denied"))
    failing(monkeypatch, (os, "stat"), "locked/", PermissionError(errno.EACCES, "Permission denied"))
    failing(monkeypatch, (Path, "stat"), "locked", PermissionError(errno.EACCES, "Permission denied"))
    assert names(root) == ["a.wav"]
    assert list_files(root).left_out == {"folders that cannot be read (permission denied)": ["locked"]}
    with pytest.raises(InputError, match=r"locked cannot be read \(permission denied\)"):
        list_files(root / "locked")


def test_files_of_other_suffixes_are_judged_by_their_first_bytes(place):
    place("sound", "sound.dat", "sound.wav.bak", "notes.xyz", data=WAV)
    place("flac", data=encoded(noise(0.1), suffix="flac"))
    place("voice.bin", data=ffmpeg_encoded(noise(0.1), "m4a"))
    for rate in (8000, 16000, 32000, 44100):
        place(f"mp3.{rate}", data=encoded(noise(0.5, rate=rate), rate, suffix="mp3"))
    place("stream.bin", data=ffmpeg_encoded(noise(0.1), "aac"))
    place("d.txt", data=b"\xff\xfb\x90\x04" + bytes(5000))
    root = place("a.txt", "b.TXT", "c.asd", "Makefile", "empty", data=b"")
    os.mkfifo(root / "pipe")
    streams = ["mp3.16000", "mp3.32000", "mp3.44100", "mp3.8000"]
    assert names(root) == [
        "flac",
        *streams,
        "notes.xyz",
        "sound",
        "sound.dat",
        "sound.wav.bak",
        "stream.bin",
        "voice.bin",
    ]
    (line,) = summarise(list_files(root).left_out)
    assert line.startswith("other files (7): ")
    assert all(part in line for part in (".txt 3", ".asd 1", "no suffix 3"))


def test_formats_of_ffmpeg_are_listed(place):
    suffixes = ("m4a", "M4A", "aac", "wma", "mp4", "mov", "mkv", "webm", "3gp", "ape", "wv", "caf", "au", "opus")
    root = place(*(f"{number}.{suffix}" for number, suffix in enumerate(suffixes)), data=b"any")
    assert len(names(root)) == len(suffixes)


def test_unfinished_downloads_are_named(place):
    root = place("a.wav", "b.wav.part", "c.mp3.crdownload", "d.flac.download", "E.WAV.TMP", "f.part")
    found = list_files(root)
    assert names(root) == ["a.wav"]
    assert found.left_out == {
        "unfinished downloads": ["E.WAV.TMP", "b.wav.part", "c.mp3.crdownload", "d.flac.download", "f.part"],
    }


def test_what_is_left_out_has_one_line_for_each_reason(place):
    root = place("a.wav", *(f".hidden {number}.wav" for number in range(5)), ".x\ny/b.wav")
    lines = summarise(list_files(root).left_out)
    assert lines == ["hidden folders (1): .x\\ny", "hidden files (5): .hidden 0.wav, .hidden 1.wav, .hidden 2.wav, ..."]


def test_names_of_any_bytes_become_one_line_of_text(place):
    assert printable(Path("a\nb/c\r.wav")) == "a\\nb/c\\r.wav"
    assert printable(Path(os.fsdecode(b"caf\xe9\n.wav"))) == "caf\\xe9\\n.wav"
    assert printable(Path("a\u202evaw.b, קול.wav")) == "a\\u202evaw.b, קול.wav"
    assert names(place("new\nline.wav", "太鼓 🥁.wav")) == ["new\nline.wav", "太鼓 🥁.wav"]


LOCALE = """
import sys
from pathlib import Path
from vae2ch import audio
from vae2ch.files import file_name
root = Path(sys.argv[1])
for path in audio.list_files(root).files:
    wave, rate, _ = audio.decode(path)
    print(audio.printable(path.relative_to(root)).encode(), wave.size)
audio.write(root / file_name("gr\\xf6\\xdfer \\U0001f941.wav"), wave, rate)
"""


def test_names_are_the_same_in_a_locale_without_them(place):
    """As only in a new process, which reads its locale once."""
    root = place("über.wav", "太鼓.wav", os.fsdecode(b"caf\xe9.wav"))
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", LOCALE, root], env=os.environ | locale, capture_output=True, text=True, check=True
    )
    expected = ("caf\\xe9.wav", "über.wav", "太鼓.wav")
    assert done.stdout.splitlines() == [f"{name.encode()} 2205" for name in expected]
    assert (root / "größer 🥁.wav").stat().st_size > 1000


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.wav", lambda: ffmpeg_encoded(noise(0.5), "m4a")),
        ("a.m4a", lambda: WAV),
        ("a.mp3", lambda: encoded(noise(0.1), suffix="flac")),
        ("a.flac", lambda: encoded(noise(0.1), suffix="mp3")),
        ("a.ogg", lambda: encoded(noise(0.1), suffix="aiff")),
        ("a.raw", lambda: WAV),
    ],
)
def test_a_sound_of_another_format_than_its_suffix_says_is_read(tmp_path, name, make):
    wave, _, remark = audio.decode(written(tmp_path / name, make()))
    assert wave.std() > 0.05
    assert remark == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<!DOCTYPE html><html><title>404</title></html>", "a web page or XML; download"),
        (b"\xef\xbb\xbf\r\n <?xml version='1.0'?><a/>", "a web page or XML; download"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
            "a Git LFS pointer.*run git lfs pull",
        ),
        (b"PK\x03\x04" + bytes(range(256)), "a ZIP archive; unpack"),
        (b"\x1f\x8b\x08" + bytes(range(256)), "a gzip archive; unpack"),
        (b"\x00\x05\x16\x07" + bytes(300), "the metadata of a Mac file"),
        (b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x00\x60MTrk", "MIDI, which has notes and no sound"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b'{"error": "not found"}', "JSON"),
        (b"#EXTM3U\nhttp://example.org/a.mp3\n", "text, not a sound"),
        ("Notes on each of the takes\n".encode("utf-16") * 500, "text, not a sound"),
        ("Notes on each of the takes\n".encode("utf-16-be") * 500, "text, not a sound"),
        ("Stücke für Klavier, über Nacht geübt\n".encode() * 500, "text, not a sound"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom\0\0\0\0" + bytes(range(256)), "damaged or protected MP4"),
        (bytes(5000), "begins with zeros"),
        (b"\x80" + bytes(range(256)) * 9, "its format is not known; copy it again, or convert"),
        (WAV[:44], "holds no samples"),
        (b"", "0 bytes"),
    ],
)
@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_a_file_that_is_no_sound_is_refused_with_what_it_is(tmp_path, data, reason, suffix):
    with pytest.raises(DecodingError, match=reason) as caught:
        audio.decode(written(tmp_path / f"a.{suffix}", data))
    assert not isinstance(caught.value, UnreadableError)
    assert "\n" not in str(caught.value)
