"""What each setting is worth: the same short training with one changed at a time.

    python -m vae2ch.bench.ablations --data DIR training.frequency_weight=0.3 augment.speed=0.0 --set preset=light

Every change is a row of its own, several settings with a + between them; the first row has none. What is
``--set`` holds for all rows.
"""

import argparse
import statistics

from vae2ch import commandline
from vae2ch.bench import brief
from vae2ch.bench.trial import held_out, trained


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", default="", help="a folder of sounds; the built-in notes where none is given")
    arguments.add_argument("--steps", type=int, default=450)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("changes", nargs="*")
    arguments.add_argument("--set", nargs="*", default=[], help="settings, as for train.py")
    with commandline.refusals():
        options = arguments.parse_intermixed_args()
        source = [*brief.source(options.data), *options.set]
        rows = {change: brief.settings([*source, *change.split("+")]) for change in options.changes}
        print(f"| changed ({options.steps} steps) | LSD (dB) | MR-STFT |\n|---|---|---|")
        for name, settings in {"nothing": brief.settings(source), **rows}.items():
            module, data = trained(settings, options.steps, options.seed)
            distances = map(statistics.mean, zip(*held_out(module, data), strict=True))
            print(f"| {name} | {' | '.join(f'{distance:.3f}' for distance in distances)} |", flush=True)


if __name__ == "__main__":
    main()
