"""Which preset suits a collection of which size: held-out distances of all three on some sizes.

    python -m vae2ch.bench.presets --data DIR --sizes 20 100 400 --steps 1500 --seeds 3

The held-out sounds are the same for all sizes; of the others so many, chosen once at random, are trained on. A seed
sets the weights, the order, the variations and the noise.
"""

import argparse
import statistics

from vae2ch import commandline
from vae2ch.bench import brief
from vae2ch.bench.trial import held_out, trained

PRESETS = ("light", "medium", "heavy")


def distance(settings: dict, size: int, steps: int, seed: int) -> float:
    """Mean log-spectral distance of the held-out sounds after training on ``size`` others, in dB."""
    module, data = trained(settings, steps, seed, size)
    return statistics.mean(log_spectral for log_spectral, _ in held_out(module, data))


def row(name: str, values: list[float]) -> str:
    """A line of the table: mean, and lowest to highest over the seeds."""
    each = ", ".join(f"{value:.3f}" for value in values)
    return f"| {name} | {statistics.mean(values):.3f} | {max(values) - min(values):.3f} | {each} |"


def main() -> None:
    """Print the table, and the best preset of each size."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", default="", help="a folder of sounds; the built-in notes where none is given")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[20, 100, 400])
    arguments.add_argument("--steps", type=int, default=1500)
    arguments.add_argument("--seeds", type=int, default=3, help="how many")
    arguments.add_argument("--presets", nargs="+", default=list(PRESETS))
    arguments.add_argument("--set", nargs="*", default=[], help="settings, as for train.py")
    options = arguments.parse_args()
    with commandline.refusals():
        print(f"| segments, preset ({options.steps} steps) | LSD (dB) | spread | seeds |\n|---|---|---|---|")
        for size in options.sizes:
            means = {}
            for preset in options.presets:
                settings = brief.settings([f"preset={preset}", *brief.source(options.data), *options.set])
                values = [distance(settings, size, options.steps, seed) for seed in range(options.seeds)]
                means[preset] = statistics.mean(values)
                print(row(f"{size}, {preset}", values), flush=True)
            print(f"| {size}, best: **{min(means, key=means.get)}** | | | |", flush=True)


if __name__ == "__main__":
    main()
