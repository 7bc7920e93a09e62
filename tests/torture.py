"""Kill a training at random moments, resume it each time, and compare it with one that ran without interruption.

python -m tests.torture --kills 20 --workers 0
"""

import argparse
import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.helpers import QUICK, ROOT
from vae2ch import audio
from vae2ch.data import notes
from vae2ch.files import UNFINISHED_SUFFIX

EPOCHS, BATCHES = 4, 10
SETTINGS = (
    *(setting for setting in QUICK if not setting.startswith("trainer")),
    f"trainer.max_epochs={EPOCHS}",
    f"trainer.limit_train_batches={BATCHES}",
    "trainer.limit_test_batches=1",
    "save_minutes=0.005",
)
LONGEST_WAIT = 120  # seconds for a step or a save


def write_sounds(folder):
    """A small collection."""
    for number, instrument in enumerate(notes.INSTRUMENTS):
        wave = notes.render(instrument, 50 + 3 * number, "mf", seed=0)[: notes.SAMPLE_RATE]
        audio.write(folder / f"{instrument}.wav", wave, notes.SAMPLE_RATE)


def start(place, *arguments, environment=None):
    """Start ``train.py`` in a folder, with its output in ``log``."""
    command = [sys.executable, str(ROOT / "train.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": "", **(environment or {})}
    with (place / "log").open("a") as log:
        return subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True)


def new_run(place, name, *settings):
    """Arguments of a run that has not begun."""
    return ("data=folder", f"data.root={place / 'sounds'}", f"name={name}", *SETTINGS, *settings)


def wait_for(condition, process, seconds=LONGEST_WAIT):
    """Wait until a condition holds or the process ends; whether it holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if condition():
            return True
        time.sleep(0.002)
    return False


def kill_once(process, run, chance, longest):
    """Kill a process within a save, or at a random moment up to ``longest`` seconds after its first step.

    Returns where it was killed, "" if it ended before.
    """
    log = run.parents[1] / "log"
    begun = log.read_text().count("first step after") if log.exists() else 0
    if not wait_for(lambda: log.read_text().count("first step after") > begun, process):
        return ""
    if within_save := chance.random() < 0.4:
        time.sleep(chance.uniform(0, 0.5 * longest))
        part = run / "checkpoints" / f"last.ckpt{UNFINISHED_SUFFIX}"
        found = wait_for(part.exists, process)
        time.sleep(chance.uniform(0, 0.03))
        where = "in a save" if found and part.exists() else "after a save"
    else:
        time.sleep(chance.uniform(0, longest))
        where = "in training"
    if process.poll() is not None:
        return ""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if within_save and not (run / "checkpoints" / f"last.ckpt{UNFINISHED_SUFFIX}").exists():
        where = "after a save"
    return where


def weights(path):
    """SHA-256 of parameters and of the optimiser's state in a checkpoint."""
    checkpoint = torch.load(path, weights_only=True)
    digest = hashlib.sha256()
    for name, value in checkpoint["state_dict"].items():
        digest.update(name.encode() + value.numpy().tobytes())
    for state in checkpoint.get("optimizer_states", []):
        for number, values in sorted(state["state"].items()):
            digest.update(str(number).encode() + b"".join(values[name].numpy().tobytes() for name in sorted(values)))
    return digest.hexdigest()


def scalars(run):
    """All scalars of TensorBoard: (tag, step, value); and the steps of all sounds."""
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    values = sorted((tag, event.step, event.value) for tag in tags["scalars"] for event in events.Scalars(tag))
    return values, sorted((tag, event.step) for tag in tags["audio"] for event in events.Audio(tag))


def table(run):
    """Rows of ``metrics.csv``."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def doubled(items):
    """Items that are there more than once."""
    return sorted({item for item in items if items.count(item) > 1})


def compare(run, reference):
    """Differences of a run from the reference, as text."""
    found = []
    for name in ("last.ckpt", "best.ckpt"):
        if weights(run / "checkpoints" / name) != weights(reference / "checkpoints" / name):
            found.append(f"{name} differs")
    (values, sounds), (expected, _) = scalars(run), scalars(reference)
    if values != expected:
        steps, wanted = [v[:2] for v in values], [v[:2] for v in expected]
        missing, more = sorted(set(wanted) - set(steps)), sorted(set(steps) - set(wanted))
        found.append(f"scalars differ: missing {missing}, more {more}, doubled {doubled(steps)}")
    if doubled(sounds):
        found.append(f"sounds are there twice: {doubled(sounds)}")
    if table(run) != table(reference):
        found.append("metrics.csv differs")
    return found


def torture(place, kills, seed=0, settings=(), report=print):
    """Kill and resume runs until there were ``kills`` kills; returns the differences from an undisturbed run."""
    (place / "sounds").mkdir(exist_ok=True)
    write_sounds(place / "sounds")
    reference = place / "outputs" / "reference"
    first = start(place, *new_run(place, "reference", *settings))
    wait_for(lambda: "first step after" in (place / "log").read_text(), first)
    begin = time.monotonic()
    wait_for(lambda: (place / "log").read_text().count("validation: ") == EPOCHS, first)
    longest = time.monotonic() - begin  # seconds of training
    assert first.wait() == 0, (place / "log").read_text()
    report(
        f"undisturbed: {longest:.1f} s of training, last.ckpt {weights(reference / 'checkpoints' / 'last.ckpt')[:16]}"
    )
    chance, done, found = random.Random(seed), 0, []
    for number in range(1, kills + 1):
        run, wheres = place / "outputs" / f"run{number}", []
        arguments = new_run(place, run.name, *settings)
        while done < kills:
            where = kill_once(start(place, *arguments), run, chance, longest)
            if not where:
                break
            done += 1
            wheres.append(where)
            saved = any((run / "checkpoints" / name).exists() for name in ("last.ckpt", "previous.ckpt"))
            if not saved:  # killed before the first save: there is nothing to go on from
                arguments = new_run(place, f"{run.name}-again", *settings)
                run = place / "outputs" / f"{run.name}-again"
                continue
            arguments = (f"resume={run}",)
        last = start(place, *arguments)
        status = last.wait()
        differences = [f"status {status}"] if status else compare(run, reference)
        report(f"{run.name}: killed {', '.join(wheres) or 'never'}: {'; '.join(differences) or 'equal'}")
        found += differences
        if done >= kills:
            break
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of the training, at random times")
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    parser.add_argument("--workers", type=int, default=0, help="processes that read the data")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = torture(Path(place), arguments.kills, arguments.seed, [f"data.workers={arguments.workers}"])
    print(f"{arguments.kills} kills, {len(found)} differences from the undisturbed run")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
