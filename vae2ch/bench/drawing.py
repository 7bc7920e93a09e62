"""How far drawn sounds are from real ones, and how much of a Gaussian they should take.

    python -m vae2ch.bench.drawing outputs/bench-sound --data DIR

Distances are the root mean square of log magnitudes at equal level, in dB. The run's held-out sounds, when
the data's settings are those that it was trained with.
"""

import math

import torch
from torch import Tensor

from vae2ch import commandline
from vae2ch.bench import brief
from vae2ch.bench.brief import segments
from vae2ch.representation import SCALE, Representation
from vae2ch.synthesis import synthesise
from vae2ch.training import SMOOTHING, VAEModule

DRAWN = 32  # sounds drawn from the model
MOST = 1000  # sounds that they are compared with


def decibels(representation: Representation, waves: Tensor) -> Tensor:
    """Log magnitudes of sounds [N, S] at equal level, in dB above the logarithm's knee  [N, F, T]"""
    spectrograms = representation(waves)
    levelled = representation.scaled(spectrograms, 1 / representation.level(spectrograms))
    return levelled[:, 0] * SCALE * 20 / math.log(10)


def nearest(these: Tensor, others: Tensor) -> Tensor:
    """Distance of each of [N, F, T] to the nearest of [M, F, T]  [N]"""
    return torch.cdist(these.flatten(1), others.flatten(1)).amin(dim=1) / these[0].numel() ** 0.5


def among(these: Tensor) -> Tensor:
    """Distance of each of [N, F, T] to the nearest other one  [N]"""
    distances = torch.cdist(these.flatten(1), these.flatten(1)).fill_diagonal_(math.inf)
    return distances.amin(dim=1) / these[0].numel() ** 0.5


def draws(module: VAEModule, smoothing: float = SMOOTHING) -> Tensor:
    """Sounds that the model makes up from around those that it knows  [DRAWN, S]"""
    return sounds_of(module, *module.draw(DRAWN, torch.Generator().manual_seed(0), smoothing))


def sounds_of(module: VAEModule, latent: Tensor, level: Tensor) -> Tensor:
    """Of latents [N, D] at levels [N]  [N, S]"""
    with torch.inference_mode():
        return synthesise(module.representation, module.imagine(latent, level))


def main() -> None:
    """Print the table."""
    arguments = brief.arguments_of_run(__doc__)
    arguments.add_argument("--smoothing", type=float, nargs="+", default=[0, 0.2, 0.3, 0.4, 0.5, 0.7, 1])
    with commandline.refusals():
        options = arguments.parse_intermixed_args()
        settings = brief.settings([*brief.source(options.data), *options.overrides])
        module, data = brief.finished(options.run, settings)
    representation = module.representation
    train, held_out = (decibels(representation, segments(data, split, MOST)[0]) for split in ("train", "test"))
    print("| smoothing | to the nearest training sound, median | least | two draws, least |\n|---|---|---|---|")
    away = nearest(held_out, train)
    print(f"| held-out sounds | {away.median():.1f} | {away.min():.1f} | {among(held_out).min():.1f} |")
    for smoothing in options.smoothing:
        drawn = decibels(representation, draws(module, smoothing))
        away = nearest(drawn, train)
        print(f"| {smoothing:g} | {away.median():.1f} | {away.min():.1f} | {among(drawn).min():.1f} |", flush=True)


if __name__ == "__main__":
    main()
