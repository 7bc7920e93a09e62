"""A short training, and how far the held-out sounds are from what it makes of them."""

from collections.abc import Iterator

import lightning
import torch
from torch import Tensor

from vae2ch import hardware, inference, metrics
from vae2ch.bench import brief
from vae2ch.bench.brief import segments
from vae2ch.data import SoundDataModule
from vae2ch.refusal import Refusal
from vae2ch.run import begin, build
from vae2ch.synthesis import synthesise
from vae2ch.training import VAEModule


def trained(settings: dict, steps: int, seed: int, size: int | None = None) -> tuple[VAEModule, SoundDataModule]:
    """A model, after so many steps on ``size`` of the training segments, or all; and its data.

    The segments of a smaller size are among those of a larger one, and the same for every seed.
    """
    lightning.seed_everything(seed, verbose=False)
    data, module = build(settings | {"seed": 0})  # of the split
    data.setup()
    train = data.datasets["train"]
    if size and len(train) < size:
        raise Refusal(f"{len(train)} segments to train on, {size} asked for; give smaller --sizes or more sounds")
    # at random: by name, the first few would be of one instrument
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).tolist()
    train.excerpts = [train.excerpts[index] for index in sorted(order[:size])]
    data.seed = module.seed = seed
    begin(module, data)
    brief.fit(module, data, None, steps=steps)
    return module.eval().to(hardware.device("auto")), data  # Lightning leaves it on the CPU


def held_out(module: VAEModule, data: SoundDataModule) -> Iterator[tuple[float, float]]:
    """Log-spectral and multi-resolution STFT distance of each validation and test sound from its reconstruction."""
    for split in ("validation", "test"):
        waves, lengths, _ = segments(data, split, len(data.datasets[split]))
        with torch.inference_mode():
            made = torch.cat([reconstructed(module, part) for part in waves.split(inference.BATCH)])
        for wave, estimate, length in zip(waves, made, lengths, strict=True):
            pair = wave[:length], estimate[:length]
            log_spectral = float(metrics.log_spectral_distance(*(sound[None] for sound in pair)))
            yield log_spectral, float(metrics.multi_resolution_stft(*pair))


def reconstructed(module: VAEModule, waves: Tensor) -> Tensor:
    """Segments through the model, on its device  [B, S]"""
    spectrogram = module.representation(waves.to(module.device))
    return synthesise(module.representation, module.reconstruct(spectrogram)).cpu()
