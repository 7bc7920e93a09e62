"""The table of docs/decisions.md: the model as it is beside each choice that was left open.

    python -m vae2ch.bench.choices --minutes 1 --seeds 0 1 2

Every variant trains on the built-in notes for the same time on the same machine, one after the
other; the held-out terms say what it learnt, the steps what it cost. Variants that the start from
principal components does not fit are to be compared with the random start.
"""

import argparse
import itertools
import math
from collections.abc import Callable

import lightning
import torch
from torch import Tensor, nn

from vae2ch.bench import brief
from vae2ch.data import SoundDataModule
from vae2ch.model import WIDTHS, Down, Up
from vae2ch.run import begin, build
from vae2ch.training import LAYERS, VAEModule, inputs_of

SHOWN = ("parameters (M)", "steps", "magnitude", "frequency", "kl", "active_units")


class ScaledTanh(nn.Module):
    """Reaches -1 and +1 at a finite input; what lies beyond is cut off."""

    def forward(self, value: Tensor) -> Tensor:
        return (1.1 * torch.tanh(value)).clamp(-1, 1)


class Halves(nn.Module):
    """A linear layer of two blocks: half of the latents see, and make, half of the channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(inputs // 2, outputs // 2) for _ in range(2))

    def forward(self, value: Tensor) -> Tensor:
        return torch.cat([block(half) for block, half in zip(self.blocks, value.chunk(2, dim=1), strict=True)], dim=1)


def as_it_is(module: VAEModule) -> None:
    """No change."""


def scaled_tanh(module: VAEModule) -> None:
    """The frequency head's Tanh stretched by 1.1."""
    decoder, activation = module.vae.decoder, ScaledTanh()
    heads = decoder.heads

    def scaled(features: Tensor) -> Tensor:
        magnitude = heads(features)[:, :1]
        return torch.cat([magnitude, activation(decoder.frequency(features).float())], dim=1)

    decoder.heads = scaled


def split_latent(module: VAEModule) -> None:
    """Two latent vectors of half the size instead of one."""
    for part in (module.vae.encoder, module.vae.decoder):
        part.latent = Halves(part.latent.in_features, part.latent.out_features)


def batch_norm(module: VAEModule) -> None:
    """The usual block: convolution, batch normalisation, SiLU."""
    for layer in (*module.vae.encoder.layers, *module.vae.decoder.layers):
        layer[1] = nn.Sequential(nn.BatchNorm2d(layer[0].out_channels), nn.SiLU())
    module.vae.to(memory_format=torch.channels_last)


def fifth(width: int) -> Callable[[VAEModule], None]:
    """Another width of the fifth layer."""

    def change(module: VAEModule) -> None:
        encoder, decoder = module.vae.encoder, module.vae.decoder
        share = encoder.latent.in_features // WIDTHS[-1]
        encoder.layers[-1][0], decoder.layers[0][0] = Down(WIDTHS[-2], width), Up(width, WIDTHS[-2])
        encoder.latent = nn.Linear(width * share, encoder.latent.out_features)
        decoder.latent = nn.Linear(decoder.latent.in_features, width * share)
        decoder.shape = (width, *decoder.shape[1:])

    return change


def kernels(size: int) -> Callable[[VAEModule], None]:
    """Larger convolutions, whose patches overlap, in place of the two-by-two ones."""
    padding, extra = (size - 1) // 2, size % 2

    def change(module: VAEModule) -> None:
        encoder, decoder = module.vae.encoder, module.vae.decoder

        def up(inputs: int, outputs: int) -> nn.Module:
            return nn.ConvTranspose2d(inputs, outputs, size, stride=2, padding=padding, output_padding=extra)

        for layer, (a, b) in zip(encoder.layers, itertools.pairwise((2, *WIDTHS)), strict=True):
            layer[0] = nn.Conv2d(a, b, size, stride=2, padding=padding)
        for layer, (a, b) in zip(decoder.layers, itertools.pairwise(WIDTHS[::-1]), strict=True):
            layer[0] = up(a, b)
        decoder.magnitude, decoder.frequency = up(WIDTHS[0], 1), up(WIDTHS[0], 1)
        for layer in (layer for layer in module.vae.modules() if isinstance(layer, LAYERS[1:])):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / inputs_of(layer)))  # as ours
            nn.init.zeros_(layer.bias)
        module.vae.to(memory_format=torch.channels_last)

    return change


# name: (change to the module, whether it starts from principal components)
VARIANTS = {
    "as it is (2 x 2, ReLU, fifth 512, strict tanh, one latent)": (as_it_is, True),
    "fifth layer 256": (fifth(256), True),
    "fifth layer 1024": (fifth(1024), True),
    "tanh scaled by 1.1": (scaled_tanh, True),
    "random start": (as_it_is, False),
    "random start, split latent": (split_latent, False),
    "random start, batch norm and SiLU": (batch_norm, False),
    "random start, kernels 3 x 3": (kernels(3), False),
    "random start, kernels 4 x 4": (kernels(4), False),
}


def train(settings: dict, data: SoundDataModule, name: str, minutes: float, seed: int) -> dict[str, float]:
    """Held-out terms, steps and parameters of one variant."""
    lightning.seed_everything(seed, verbose=False)
    module = VAEModule(**{part: settings[part] for part in ("model", "representation", "training")}, seed=seed)
    change, started = VARIANTS[name]
    change(module)
    if started:
        begin(module, data)
    trainer = brief.fit(module, data, minutes)
    steps = trainer.global_step
    trainer.limit_val_batches = 1.0
    (terms,) = trainer.validate(module, datamodule=data, verbose=False)
    parameters = sum(weight.numel() for weight in module.parameters()) / 1e6
    return {"parameters (M)": parameters, "steps": steps, **{key[4:]: value for key, value in terms.items()}}


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=1.0)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments.add_argument("--only", default="", help="variants whose name holds this")
    options = arguments.parse_args()
    settings = brief.settings()
    data, _ = build(settings)
    data.setup()
    print(f"| {options.minutes:g} minutes each | {' | '.join(SHOWN)} |\n|---|{'---|' * len(SHOWN)}")
    for name in (name for name in VARIANTS if options.only in name):
        for seed in options.seeds:
            found = train(settings, data, name, options.minutes, seed)
            print(f"| {name}, seed {seed} | {' | '.join(f'{found[key]:.4g}' for key in SHOWN)} |", flush=True)


if __name__ == "__main__":
    main()
