"""Errors of the system are named as such, and messages of C libraries do not reach the terminal."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.audio.sounds import cut, encoded, ffmpeg_encoded, holed, noise, wav, with_field, written
from vae2ch import audio
from vae2ch.audio import DecodingError, UnreadableError, attempt, ffmpeg, libsndfile, recording
from vae2ch.audio.messages import captured_messages

WAV = encoded(noise(0.2), suffix="wav")
ERRORS = [
    (errno.EACCES, "permission denied"),
    (errno.EMFILE, "too many open files"),
    (errno.EIO, "input/output error"),
    (errno.ESTALE, "stale file handle"),
    (errno.ENOENT, "no such file"),
    (errno.ENOMEM, "cannot allocate memory"),
]


def raising(error):
    """Function that raises an error, whatever its arguments."""

    def function(*args, **kwargs):
        raise error

    return function


def assert_unreadable(path, words):
    """Assert that a file is refused in the system's words, which are not to be stored."""
    with pytest.raises(UnreadableError) as caught:
        audio.decode(path)
    assert str(caught.value) == f"cannot be read: {words}"


@pytest.mark.parametrize(("number", "words"), ERRORS)
def test_a_file_that_the_system_does_not_open_is_named_so(tmp_path, monkeypatch, number, words):
    path = written(tmp_path / "a.wav", WAV)
    error = OSError(number, os.strerror(number))
    words = os.strerror(number).lower()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", raising(error))
        assert_unreadable(path, words)
    with monkeypatch.context() as patch:
        patch.setattr(recording, "check_regular_file", raising(error))
        assert_unreadable(path, words)
    assert audio.decode(path)[0].size  # another attempt succeeds


@pytest.fixture
def failing_after(monkeypatch):
    """Function after which files that decoders open fail with an error when so many bytes have been read."""

    def fail(count, error):
        original = Path.open

        def opened(path, mode="r", buffering=-1):
            file = original(path, mode, buffering)
            if buffering != -1:  # of the header
                return file
            return SimpleNamespace(
                read=lambda size=-1: file.read(size) if file.tell() < count else raising(error)(),
                seek=file.seek,
                tell=file.tell,
                close=file.close,
            )

        monkeypatch.setattr(Path, "open", opened)

    return fail


READ_IN_PYTHON = {
    "m4a": ffmpeg_encoded(noise(6.0, rate=44100), "m4a"),  # longer than the buffer of FFmpeg
    "aac": ffmpeg_encoded(noise(1.0, rate=44100), "aac"),
    "unclosed.wav": with_field(encoded(noise(1.0), suffix="wav"), b"data", 0),
}


@pytest.mark.parametrize("name", READ_IN_PYTHON)
@pytest.mark.parametrize("count", [0, 8000])
@pytest.mark.parametrize(("number", "words"), ERRORS)
def test_an_error_of_the_system_while_a_file_is_read_is_named_so(
    tmp_path, failing_after, capfd, name, count, number, words
):
    """Not a file that is cut short."""
    path = written(tmp_path / f"a.{name}", READ_IN_PYTHON[name])
    failing_after(count, OSError(number, os.strerror(number)))
    with pytest.raises(UnreadableError, match=f"cannot be read: {words}"):
        audio.decode(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", READ_IN_PYTHON)
def test_an_error_in_the_second_pass_is_named_so(tmp_path, monkeypatch, failing_after, name):
    path = written(tmp_path / f"a.{name}", READ_IN_PYTHON[name])
    monkeypatch.setattr(attempt, "MAX_KEPT_VALUES", 10)
    found = audio.open_recording(path)
    failing_after(8000, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(UnreadableError, match="cannot be read: input/output error"):
        list(found.blocks())


@pytest.mark.parametrize("owner", [libsndfile.LibsndfileDecoder, ffmpeg.FFmpegDecoder])
def test_too_little_memory_is_an_error_of_the_system(tmp_path, monkeypatch, owner):
    path = written(tmp_path / "a.m4a", ffmpeg_encoded(noise(0.5, rate=44100), "m4a"))
    monkeypatch.setattr(owner, "__init__", raising(MemoryError()))
    assert_unreadable(path, "out of memory")


@pytest.mark.parametrize(
    ("create", "words"),
    [
        (lambda path: path.symlink_to(path.parent / "nowhere.wav"), "no such file or directory"),
        (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
        (lambda path: None, "no such file or directory"),
    ],
    ids=["dangling link", "loop", "missing"],
)
def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path, create, words):
    create(tmp_path / "a.wav")
    assert_unreadable(tmp_path / "a.wav", words)


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg"])
def test_a_name_of_any_bytes_is_read(tmp_path, suffix):
    path = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9 " + "太鼓.".encode() + suffix.encode()))
    wave, _, remark = audio.decode(written(path, encoded(noise(1.0), suffix=suffix)))
    assert wave.std() > 0.05
    assert remark == ""


MP3 = encoded(noise(1.0), suffix="mp3")
NOISY = {  # contents over which libraries print
    "damaged MP3": holed(MP3),
    "MP3 of nothing": b"\xff\xfb\x90\x00" * 2000,
    "MP3 behind noise": np.random.default_rng(0).bytes(9000) + MP3,
    "cut MP3": cut(MP3),
    "two MP3s": MP3 + encoded(noise(0.3, rate=44100), 44100, suffix="mp3"),
    "damaged AAC": holed(ffmpeg_encoded(noise(1.0, rate=44100), "aac")),
    "damaged MP4": holed(ffmpeg_encoded(noise(1.0, rate=44100), "m4a")),
    "MP4 without its index": cut(ffmpeg_encoded(noise(1.0, rate=44100), "m4a")),
    "damaged FLAC": holed(encoded(noise(2.0), suffix="flac")),
    "damaged Ogg": holed(encoded(noise(2.0), suffix="ogg")),
    "unclosed": with_field(WAV, b"data", 0),
    "contradiction": wav(WAV, bits=24, align=4),
    "NaN": encoded(np.array([0.1, np.nan] * 999), format="WAV", subtype="FLOAT"),
    "sample dump": encoded(noise(0.2), format="SDS", subtype="PCM_16")[:3000],
}


@pytest.mark.parametrize("name", NOISY)
def test_messages_of_libraries_do_not_reach_the_terminal(tmp_path, capfd, name):
    with suppress(DecodingError):
        audio.decode(written(tmp_path / "a.mp3", NOISY[name]))
    assert capfd.readouterr() == ("", "")


def test_messages_of_a_second_pass_do_not_reach_the_terminal(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(attempt, "MAX_KEPT_VALUES", 10)
    for name in ("damaged MP3", "damaged AAC", "two MP3s"):
        audio.decode(written(tmp_path / "a.mp3", NOISY[name]))
    assert capfd.readouterr() == ("", "")


def test_what_is_printed_is_captured_and_then_printed_again(capfd):
    with captured_messages((1, 2)) as messages:
        os.write(1, b"first ")
        os.write(2, b"second")
        assert messages() == "first second"
        assert messages() == ""
        os.write(2, b"x" * 1_000_000)  # more than fits does not block
    os.write(1, b"after")
    assert capfd.readouterr() == ("after", "")


def test_capturing_needs_no_open_descriptors(capfd):
    saved = os.dup(2)
    os.close(2)
    try:
        with captured_messages((2,)) as messages:
            assert messages() == ""
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def test_no_file_stays_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for data in NOISY.values():
        with suppress(DecodingError):
            audio.decode(written(tmp_path / "a.x", data))
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_a_file_that_changes_between_two_passes_is_no_shorter_sound(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(attempt, "MAX_KEPT_VALUES", 10)
    data = encoded(noise(2.0), suffix=suffix)
    found = audio.open_recording(written(tmp_path / "a.x", data))
    written(tmp_path / "a.x", cut(data))
    with pytest.raises(UnreadableError, match="it has changed while it was read"):
        list(found.blocks())
