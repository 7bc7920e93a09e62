"""Which preset suits a collection of which size: held-out distances of all three on some sizes.

    python -m vae2ch.bench.presets --data DIR --sizes 20 100 400 --steps 200 --seeds 3

The held-out sounds are the same for all sizes; of the others the first so many are trained on. A seed
sets the weights, the order, the variations and the noise.
"""

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

import lightning
import torch
from torch import Tensor

from vae2ch import commandline, inference, metrics
from vae2ch.bench import brief
from vae2ch.bench.sound import segments
from vae2ch.data import SoundDataModule
from vae2ch.refusal import Refusal
from vae2ch.run import begin, build
from vae2ch.synthesis import synthesise
from vae2ch.training import VAEModule

PRESETS = ("light", "medium", "heavy")


def distance(settings: dict, size: int, steps: int, seed: int) -> float:
    """Mean log-spectral distance of the held-out sounds after training on ``size`` others, in dB."""
    lightning.seed_everything(seed, verbose=False)
    data, module = build(settings | {"seed": 0})  # of the split
    data.setup()
    train = data.datasets["train"]
    if len(train) < size:
        raise Refusal(f"{len(train)} segments to train on, {size} asked for; give smaller --sizes or more sounds")
    train.excerpts = train.excerpts[:size]
    data.seed = module.seed = seed
    begin(module, data)
    brief.fit(module, data, None, steps=steps)
    module.eval()
    return statistics.mean(distance for split in ("validation", "test") for distance in held_out(module, data, split))


def held_out(module: VAEModule, data: SoundDataModule, split: str) -> Iterator[float]:
    """Log-spectral distance of each sound of a split from its reconstruction."""
    waves, lengths, _ = segments(data, split, len(data.datasets[split]))
    with torch.inference_mode():
        made = torch.cat([reconstructed(module, part) for part in waves.split(inference.BATCH)])
    for wave, estimate, length in zip(waves, made, lengths, strict=True):
        yield float(metrics.log_spectral_distance(wave[None, :length], estimate[None, :length]))


def reconstructed(module: VAEModule, waves: Tensor) -> Tensor:
    """Segments through the model  [B, S]"""
    return synthesise(module.representation, module.reconstruct(module.representation(waves)))


def row(name: str, values: list[float]) -> str:
    """A line of the table: mean, and lowest to highest over the seeds."""
    each = ", ".join(f"{value:.3f}" for value in values)
    return f"| {name} | {statistics.mean(values):.3f} | {max(values) - min(values):.3f} | {each} |"


def main() -> None:
    """Print the table, and the best preset of each size."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", default="", help="a folder of sounds; the built-in notes where none is given")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[20, 100, 400])
    arguments.add_argument("--steps", type=int, default=200)
    arguments.add_argument("--seeds", type=int, default=3, help="how many")
    arguments.add_argument("--presets", nargs="+", default=list(PRESETS))
    arguments.add_argument("--set", nargs="*", default=[], help="settings, as for train.py")
    options = arguments.parse_args()
    with commandline.refusals():
        source = ["data=folder", commandline.quoted(f"data.root={Path(options.data)}")] if options.data else []
        print(f"| files, preset ({options.steps} steps) | LSD (dB) | spread | seeds |\n|---|---|---|---|")
        for size in options.sizes:
            means = {}
            for preset in options.presets:
                settings = brief.settings([f"preset={preset}", *source, *options.set])
                values = [distance(settings, size, options.steps, seed) for seed in range(options.seeds)]
                means[preset] = statistics.mean(values)
                print(row(f"{size}, {preset}", values), flush=True)
            print(f"| {size}, best: **{min(means, key=means.get)}** | | | |", flush=True)


if __name__ == "__main__":
    main()
