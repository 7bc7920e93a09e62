"""Memory, open files and temporary files of a long training with validations and saves, as a plot.

python -m tests.soak --steps 2000 --plot soak.png
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

from tests.helpers import QUICK, ROOT
from tests.torture import write_sounds

STEPS_PER_EPOCH = 50
WARM_UP = 0.25  # of the samples, before which memory may still grow


def process_state(process, temporary, run):
    """Resident memory in MB, open files, temporary files, and unfinished files of the run."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return (
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        len(os.listdir(f"/proc/{process.pid}/fd")),
        sum(1 for _ in temporary.rglob("*")),
        len(list((run / "checkpoints").glob("*.part"))),
    )


def soak(place, steps):
    """Train for some steps; samples of ``process_state`` with their times."""
    temporary, run = place / "tmp", place / "outputs" / "soak"
    for folder in (temporary, place / "sounds"):
        folder.mkdir()
    write_sounds(place / "sounds")
    quick = [setting for setting in QUICK if not setting.startswith(("trainer", "data.epoch_segments"))]
    limits = [f"trainer.limit_train_batches={STEPS_PER_EPOCH}", f"trainer.max_epochs={steps // STEPS_PER_EPOCH}"]
    settings = ["data=folder", f"data.root={place / 'sounds'}", "name=soak", *quick, *limits]
    settings += ["save_minutes=0.05", "training.patience=1000", "trainer.limit_test_batches=1"]
    command = [sys.executable, str(ROOT / "train.py"), *settings]
    samples, begin = [], time.monotonic()
    with (place / "log").open("w") as log:
        environment = {**os.environ, "TMPDIR": str(temporary)}
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            if (run / "checkpoints").exists():
                samples.append((time.monotonic() - begin, *process_state(process, temporary, run)))
            time.sleep(0.5)
    assert process.returncode == 0, (place / "log").read_text()
    return samples


def plot(samples, path):
    """One panel for each quantity."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(4, 1, sharex=True, figsize=(9, 9), layout="constrained")
    names = ("resident memory (MB)", "open files", "temporary files", "unfinished files")
    for number, (panel, name) in enumerate(zip(panels, names, strict=True), 1):
        panel.plot([sample[0] for sample in samples], [sample[number] for sample in samples])
        panel.set_ylabel(name)
        panel.set_ylim(bottom=0)
    panels[-1].set_xlabel("seconds")
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="of the training")
    parser.add_argument("--plot", type=Path, default=Path("soak.png"), help="image of memory and open files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        samples = soak(Path(place), arguments.steps)
    plot(samples, arguments.plot)
    warm = samples[int(WARM_UP * len(samples)) :]
    half = len(warm) // 2
    for number, name in ((1, "resident memory (MB)"), (2, "open files"), (3, "temporary files")):
        first, second = (statistics.median(sample[number] for sample in part) for part in (warm[:half], warm[half:]))
        print(f"{name}: median of the first half {first:.0f}, of the second {second:.0f}")


if __name__ == "__main__":
    main()
