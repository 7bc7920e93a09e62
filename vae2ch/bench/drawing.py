"""How far drawn sounds are from those that draws start from, and how much of a Gaussian they should take.

    python -m vae2ch.bench.drawing outputs/bench-sound --data DIR

All are compared as the decoder makes them: what it always loses or varies would otherwise keep even a copy away from
its original. Distances are the root mean square of log magnitudes at equal level, in dB. The run's held-out sounds,
when the data's settings are those that it was trained with.
"""

import math

import torch
from torch import Tensor

from vae2ch import commandline, inference
from vae2ch.bench import brief
from vae2ch.bench.brief import segments
from vae2ch.representation import SCALE
from vae2ch.training import SMOOTHING, VAEModule

DRAWN = 400  # sounds drawn from the model; two hundreds of one model's were as unlike as these and real ones
MOST = 1000  # held-out sounds at most


def pictures(module: VAEModule, latent: Tensor) -> Tensor:
    """What the decoder makes of latents [N, D], at equal level, in dB above the logarithm's knee  [N, F, T]"""
    with torch.inference_mode():
        decoded = (module.vae.decode(part) for part in latent.split(inference.BATCH))
        parts = [module.representation.levelled(part)[0][:, 0] for part in decoded]
    return torch.cat(parts) * SCALE * 20 / math.log(10)


def latents(module: VAEModule, waves: Tensor) -> Tensor:
    """What the encoder makes of sounds [N, S]  [N, D]"""
    with torch.inference_mode():
        parts = [module.representation.levelled(module.representation(part)) for part in waves.split(inference.BATCH)]
        return torch.cat([module.vae.encode(levelled).mean for levelled, _ in parts])


def nearest(these: Tensor, others: Tensor) -> Tensor:
    """Distance of each of [N, F, T] to the nearest of [M, F, T]  [N]"""
    return torch.cdist(these.flatten(1), others.flatten(1)).amin(dim=1) / these[0].numel() ** 0.5


def among(these: Tensor) -> Tensor:
    """Distance of each of [N, F, T] to the nearest other one  [N]"""
    distances = torch.cdist(these.flatten(1), these.flatten(1)).fill_diagonal_(math.inf)
    return distances.amin(dim=1) / these[0].numel() ** 0.5


def draws(module: VAEModule, smoothing: float = SMOOTHING) -> tuple[Tensor, Tensor]:
    """Latents that the model makes up from around those that it knows, and their peaks  [DRAWN, D], [DRAWN]"""
    return module.draw(DRAWN, torch.Generator().manual_seed(0), smoothing)


def main() -> None:
    """Print the table."""
    arguments = brief.arguments_of_run(__doc__)
    arguments.add_argument("--smoothing", type=float, nargs="+", default=[0, 0.2, 0.3, 0.4, 0.5, 0.7, 1])
    with commandline.refusals():
        options = arguments.parse_intermixed_args()
        settings = brief.settings([*brief.source(options.data), *options.overrides])
        module, data = brief.finished(options.run, settings)
    waves, _, _ = segments(data, "test", MOST)
    known, held_out = pictures(module, module.known), pictures(module, latents(module, waves))
    print("| smoothing | to the nearest that draws start from, median | least | two draws, least |\n|---|---|---|---|")
    away = nearest(held_out, known)
    print(f"| held-out sounds | {away.median():.1f} | {away.min():.1f} | {among(held_out).min():.1f} |")
    for smoothing in options.smoothing:
        latent, _ = draws(module, smoothing)
        drawn = pictures(module, latent)
        away = nearest(drawn, known)
        print(f"| {smoothing:g} | {away.median():.1f} | {away.min():.1f} | {among(drawn).min():.1f} |", flush=True)


if __name__ == "__main__":
    main()
