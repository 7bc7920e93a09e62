"""What each setting is worth: the same short training with one changed at a time.

    python -m vae2ch.bench.ablations --data DIR --data OTHER training.frequency_weight=0.3 augment.speed=0.0

Every change is a row of its own, several settings with a + between them; the first row has none. Every ``--data``
is two columns more, with the preset that suits it. What is ``--set`` holds for all.
"""

import argparse
import statistics
from pathlib import Path

from vae2ch import commandline
from vae2ch.bench import brief
from vae2ch.bench.trial import held_out, trained


def distances(settings: dict, steps: int, seed: int) -> list[str]:
    """Mean log-spectral and multi-resolution STFT distance of the held-out sounds after so many steps."""
    module, data = trained(settings, steps, seed)
    return [f"{statistics.mean(values):.3f}" for values in zip(*held_out(module, data), strict=True)]


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", action="append", help="a folder of sounds; the built-in notes where none is given")
    arguments.add_argument("--steps", type=int, default=450)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("changes", nargs="*")
    arguments.add_argument("--set", nargs="*", default=[], help="settings, as for train.py")
    with commandline.refusals():
        options = arguments.parse_intermixed_args()
        folders = options.data or [""]
        rows = {
            change: [brief.settled([*brief.source(folder), *options.set, *settings]) for folder in folders]
            for change, settings in {"nothing": [], **{name: name.split("+") for name in options.changes}}.items()
        }
        columns = "".join(f" {Path(folder).name or 'notes'}: LSD (dB) | MR-STFT |" for folder in folders)
        print(f"| changed ({options.steps} steps) |{columns}\n|---|{'---|---|' * len(folders)}")
        for change, sets in rows.items():
            cells = [cell for settings in sets for cell in distances(settings, options.steps, options.seed)]
            print(f"| {change} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
