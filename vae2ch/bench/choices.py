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
from vae2ch.model import CHANNELS, WIDTHS, Down, Up
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
    within_range = decoder.within_range

    def scaled(magnitude: Tensor, frequency: Tensor) -> Tensor:
        return torch.cat([within_range(magnitude, frequency)[:, :1], activation(frequency.float())], dim=1)

    decoder.within_range = scaled


def split_latent(module: VAEModule) -> None:
    """Two latent vectors of half the size instead of one."""
    for part in (module.vae.encoder, module.vae.decoder):
        part.latent = Halves(part.latent.in_features, part.latent.out_features)


def normalised(layer: Down | Up) -> nn.Sequential:
    """A layer with another activation than its own."""
    layer.rectify = False
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.SiLU())


def batch_norm(module: VAEModule) -> None:
    """The usual block: convolution, batch normalisation, SiLU."""
    encoder, decoder = module.vae.encoder, module.vae.decoder
    encoder.layers[-1].rectify = False
    encoder.layers = nn.Sequential(*map(normalised, encoder.layers[:-1]), encoder.layers[-1])
    decoder.layers = nn.Sequential(*map(normalised, decoder.layers))
    module.vae.to(memory_format=torch.channels_last)


def fifth(width: int) -> Callable[[VAEModule], None]:
    """Another width of the fifth layer."""

    def change(module: VAEModule) -> None:
        encoder, decoder = module.vae.encoder, module.vae.decoder
        share = encoder.latent.in_features // WIDTHS[-1]
        encoder.layers[-1] = Down(WIDTHS[-2], width, rectify=True)
        decoder.layers[0] = Up(width, WIDTHS[-2], rectify=True)
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

        down = [nn.Conv2d(a, b, size, stride=2, padding=padding) for a, b in itertools.pairwise((CHANNELS, *WIDTHS))]
        encoder.layers = nn.Sequential(*itertools.chain(*((layer, nn.ReLU()) for layer in down)))[:-1]
        wider = [up(a, b) for a, b in itertools.pairwise(WIDTHS[::-1])]
        decoder.layers = nn.Sequential(*itertools.chain(*((layer, nn.ReLU()) for layer in wider)))
        decoder.heads = up(WIDTHS[0], CHANNELS)
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
    return {
        "parameters (M)": parameters,
        "steps": steps,
        **{key.partition("/")[2]: value for key, value in terms.items()},
    }


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
