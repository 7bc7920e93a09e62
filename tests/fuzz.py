"""Read damaged sound files and checkpoints by the thousand: each is kept or refused with a reason, without harm.

python -m tests.fuzz --files 10000 --checkpoints 1000 --seed 0
python -m tests.fuzz --only 4711
"""

import argparse
import collections
import multiprocessing
import queue
import re
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from tqdm import tqdm

from tests.fuzz_checkpoints import checkpoint_case
from tests.fuzz_checks import Outcome, check
from tests.fuzz_sounds import sound_case

FIRST_CHECKPOINT = 1_000_000  # number of the first damaged checkpoint; those before are of sound files
HANG_SECONDS = 20  # after which a reader that has not answered is killed
ADDRESS_SPACE = 24 << 30  # bytes that a reader may reserve, so that a damaged file cannot take the machine down
PROCESSES = 2
COLUMNS = ("cases", "kept", "remark", "refused", "died", "slowest s", "peak MB")


def case_of(number, seed):
    """The damaged file of a number."""
    sound = number < FIRST_CHECKPOINT
    return sound_case(number, seed) if sound else checkpoint_case(number - FIRST_CHECKPOINT, seed)


def serve(connection, folder, seed):
    """Check cases in a process of its own: receives numbers, answers with the kind and then the outcome of each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system, which a killed process would leave
    case_of(0, seed)  # makes the intact files
    connection.send("ready")
    while (number := connection.recv()) is not None:
        case = case_of(number, seed)
        connection.send(case.kind)
        connection.send(check(case, folder))


class Reader:
    """A process that checks cases, and is started again when one kills it or hangs."""

    context = multiprocessing.get_context("spawn")

    def __init__(self, folder, seed):
        self.folder, self.seed, self.process = folder, seed, None

    def start(self):
        self.connection, other = self.context.Pipe()
        arguments = (other, self.folder, self.seed)
        self.process = self.context.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        other.close()
        assert self.connection.recv() == "ready"

    def check(self, number):
        """Kind and outcome of a case; its status is ``died`` if the process did not survive it."""
        if self.process is None:
            self.start()
        self.connection.send(number)
        kind = self.connection.recv()
        begin = time.monotonic()
        try:
            if self.connection.poll(HANG_SECONDS):
                return kind, self.connection.recv()
            problem = f"did not end in {HANG_SECONDS} s"
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode
            problem = f"died by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        self.stop()
        seconds = time.monotonic() - begin
        return kind, Outcome("died", "", [problem], seconds, 0.0)

    def end(self):
        """Let the process end by itself."""
        if self.process is not None:
            self.connection.send(None)
            self.process.join(HANG_SECONDS)
        self.stop()

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.connection.close()
            self.process = None


def check_all(numbers, seed, place):
    """Check all cases in a few processes; yields number, kind and outcome in the order in which they end."""
    waiting, done = queue.SimpleQueue(), queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)

    def work(folder):
        folder.mkdir()
        reader = Reader(folder, seed)
        try:
            while True:
                number = waiting.get_nowait()
                done.put((number, *reader.check(number)))
        except queue.Empty:
            reader.end()
        except BaseException as error:
            done.put((None, "", error))

    for index in range(PROCESSES):
        threading.Thread(target=work, args=(place / str(index),), daemon=True).start()
    for _ in numbers:
        number, kind, outcome = done.get()
        if number is None:
            raise outcome
        yield number, kind, outcome


class Summary:
    """Counts by format, findings by kind, and reasons."""

    def __init__(self):
        self.rows = collections.defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
        self.findings = collections.defaultdict(list)  # (format, number) by the text of the problem without numbers
        self.reasons = collections.defaultdict(list)  # numbers of cases by the reason without numbers

    def add(self, number, kind, outcome):
        for row in (self.rows[kind], self.rows["all"]):
            row["cases"] += 1
            row[outcome.status] += 1
            row["slowest s"] = max(row["slowest s"], outcome.seconds)
            row["peak MB"] = max(row["peak MB"], outcome.megabytes)
        for problem in outcome.problems:
            self.findings[without_numbers(problem)].append((number, kind, problem))
        if outcome.reason:
            self.reasons[without_numbers(outcome.reason)].append(number)

    def table(self):
        """Counts by format, one line each."""
        names = [*sorted(name for name in self.rows if name != "all"), "all"]
        yield f"{'format':22s}" + "".join(f"{name:>11s}" for name in COLUMNS)
        for name in names:
            *counts, seconds, megabytes = self.rows[name].values()
            yield f"{name:22s}" + "".join(f"{count:11d}" for count in counts) + f"{seconds:11.2f}{megabytes:11.0f}"

    def report(self):
        """All lines that are printed at the end."""
        yield from self.table()
        yield f"\n{len(self.reasons)} reasons and remarks, each with the number of a case:"
        for reason, numbers in sorted(self.reasons.items(), key=lambda item: -len(item[1])):
            yield f"{len(numbers):6d}  {reason}  [{min(numbers)}]"
        cases = {number for found in self.findings.values() for number, _, _ in found}
        yield f"\n{len(cases)} cases with findings, of {len(self.findings)} kinds:"
        for found in sorted(self.findings.values(), key=len, reverse=True):
            numbers = ", ".join(f"{number} ({kind})" for number, kind, _ in sorted(found)[:8])
            yield f"{len(found):6d}  {min(found)[2]}\n        {numbers}{', ...' if len(found) > 8 else ''}"


def without_numbers(text):
    """A message whose numbers and hexadecimal digits are replaced, so that equal kinds are counted together."""
    return re.sub(r"0x[0-9a-f]+|\b[0-9A-F]{2}\b|-?\d[\d.,]*(e[-+]?\d+)?|\binf\b|\bnan\b", "N", text)


def fuzz(numbers, seed, place, report=print):
    """Check cases, with a line of progress every 20 seconds; a ``Summary``."""
    summary, begin = Summary(), time.monotonic()
    said = begin
    for count, (number, kind, outcome) in enumerate(check_all(numbers, seed, place), 1):
        summary.add(number, kind, outcome)
        if time.monotonic() > said + 20:
            said = time.monotonic()
            report(f"{count} of {len(numbers)} in {said - begin:.0f} s, {len(summary.findings)} kinds of findings")
    report(f"{len(numbers)} cases in {time.monotonic() - begin:.0f} s\n")
    return summary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="damaged sound files to read")
    parser.add_argument("--checkpoints", type=int, default=1_000, help="damaged checkpoints to read")
    parser.add_argument("--seed", type=int, default=0, help="of the damages")
    parser.add_argument("--only", type=int, help="write the file of this number into the current folder, and read it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if arguments.only is not None:
            sys.exit(run_one(arguments.only, arguments.seed, place))
        checkpoints = range(FIRST_CHECKPOINT, FIRST_CHECKPOINT + arguments.checkpoints)
        summary = fuzz([*range(arguments.files), *checkpoints], arguments.seed, place)
    print("\n".join(summary.report()))
    sys.exit(1 if summary.findings else 0)


def run_one(number, seed, place):
    """Write the damaged file of a number, read it, and print what happens; the exit status."""
    case = case_of(number, seed)
    path = Path(f"case{number}{case.suffix}")
    path.write_bytes(case.content)
    print(f"{path}: {case.description}")
    reader = Reader(place, seed)
    _, outcome = reader.check(number)
    reader.end()
    print("\n".join([f"{name}: {value}" for name, value in outcome._asdict().items()]))
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    main()
