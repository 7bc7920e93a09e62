"""A short form of ``make fuzz``, in this process: damaged files of all kinds are kept or refused, without harm."""

import contextlib
import io
import mmap
import multiprocessing
import os
import signal
import time
import warnings

import numpy as np
import pytest
import soundfile

from tests.fuzz import Reader, Summary
from tests.fuzz_checkpoints import checkpoint_case
from tests.fuzz_checks import Outcome, check
from tests.fuzz_sounds import Case, intact_files, sound_case
from tests.mutations import with_page_checksum

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="measures memory as Linux does")
SOUNDS, CHECKPOINTS = 300, 40


def checked(cases, folder):
    summary = Summary()
    for number, case in enumerate(cases):
        summary.add(number, case.kind, check(case, folder))
    return summary


def test_damaged_sound_files_are_kept_or_refused(tmp_path):
    summary = checked((sound_case(number, seed=0) for number in range(SOUNDS)), tmp_path)
    assert dict(summary.findings) == {}
    assert summary.rows["all"]["kept"] > SOUNDS / 5
    assert summary.rows["all"]["refused"] > SOUNDS / 5


FOUND = {
    "8SVX behind a tag is never opened": 8348,
    "infinite samples overflow": 76,
    "huge samples overflow": 41,
    "a stream without a codec": 267,
    "an error of FFmpeg that sounds like one of the system": 1243,
    "a channel that is louder than the mean": 3534,
    "samples that are not converted": 7061,
    "MP3 in WAV prints": 301,
    "a file stays open": 285,
    "a block of VOC without room for its head": 2994,
}


@pytest.mark.parametrize("number", FOUND.values(), ids=FOUND)
def test_what_once_did_harm_does_none(number, tmp_path):
    assert check(sound_case(number, seed=0), tmp_path).problems == []


def test_damaged_checkpoints_are_kept_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vae2ch.model.WIDTHS", (4, 8, 8, 8, 8))  # a checkpoint of 50 kB instead of 40 MB
    summary = checked((checkpoint_case(number, seed=0, narrow=True) for number in range(CHECKPOINTS)), tmp_path)
    assert dict(summary.findings) == {}
    assert summary.rows["all"]["kept"] > 5
    assert summary.rows["all"]["refused"] > CHECKPOINTS / 3


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda: os.write(2, b"C library: warning\nmore"), "printed: C library: warning"),
        (lambda: os.write(1, b"note"), "printed: note"),
        (lambda: warnings.warn("overflow", stacklevel=1), "warned: overflow"),
        (lambda: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda: os.open(os.devnull, os.O_RDONLY), "left files open"),
        (lambda: mmap.mmap(-1, 60 << 20).write(b"x" * (60 << 20)), "took "),  # new to the process, unlike freed memory
    ],
    ids=["error output", "output", "warning", "exception", "open file", "memory"],
)
def test_each_kind_of_harm_is_found(harm, problem, tmp_path, monkeypatch):
    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr("tests.fuzz_checks.MEMORY_MB", 50)
    monkeypatch.setattr("tests.fuzz_checks.check_sound", lambda path, problems: (harm(), ("kept", ""))[1])
    (found,) = check(Case("WAV", ".wav", b"", ""), tmp_path).problems
    assert found.startswith(problem)
    for name in set(os.listdir("/proc/self/fd")) - before:
        with contextlib.suppress(OSError):  # of the listing itself
            os.close(int(name))


def test_intact_files_of_all_formats_can_be_read():
    """Else their damage would test nothing; the header of SD2 is in a second file, which is left out."""
    files = intact_files()
    assert files.keys() == soundfile.available_formats().keys() - {"RAW"}
    for form in files.keys() - {"SD2"}:
        name, data = files[form][0]
        assert soundfile.info(io.BytesIO(data)).frames > 0, name


def test_a_case_is_made_by_its_number_alone():
    assert sound_case(7, seed=0) == sound_case(7, seed=0) != sound_case(7, seed=1)


def test_the_checksum_of_an_ogg_page_is_that_of_libogg():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(1000), 16000, format="OGG")
    first, second, _ = buffer.getvalue().split(b"OggS", 3)[1:]
    for page in (b"OggS" + first, b"OggS" + second):
        assert with_page_checksum(page) == page
        assert with_page_checksum(page[:22] + b"1234" + page[26:]) == page


def fragile(connection, folder, seed):
    """Stands for a process whose C library crashes or hangs."""
    connection.send("ready")
    while (number := connection.recv()) is not None:
        connection.send("WAV")
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 2:
            time.sleep(600)
        connection.send(Outcome("kept", "", [], 0.0, 0.0))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_reader_survives_crashes_and_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.serve", fragile)
    monkeypatch.setattr("tests.fuzz.HANG_SECONDS", 0.5)
    monkeypatch.setattr(Reader, "context", multiprocessing.get_context("fork"))  # spawn takes seconds
    reader = Reader(tmp_path, seed=0)
    found = [reader.check(number)[1].problems for number in range(4)]
    reader.end()
    assert found == [[], ["died by SIGKILL"], ["did not end in 0.5 s"], []]
    assert reader.process is None
