"""The table of docs/decisions.md: the model as it is beside each choice that was left open.

    python docs/model_choices.py --minutes 2 --seeds 0 1

Every variant trains on the built-in notes for the same time on the same machine, one after the
other; the held-out terms say what it learnt, the steps what it cost.
"""

import argparse
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import lightning
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from vae2ch import commandline, config, hardware, model
from vae2ch.data import SoundDataModule
from vae2ch.run import quieten
from vae2ch.training import VAEModule

ROOT = Path(__file__).parent.parent


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

    def heads(features: Tensor) -> Tensor:
        magnitude = nn.functional.softplus(decoder.magnitude(features).float())
        return torch.cat([magnitude, activation(decoder.frequency(features).float())], dim=1)

    decoder.heads = heads


def split_latent(module: VAEModule) -> None:
    """Two latent vectors of half the size instead of one."""
    for part in (module.vae.encoder, module.vae.decoder):
        part.latent = Halves(part.latent.in_features, part.latent.out_features)


def resized(build: Callable[[int, int], nn.Module], rebuild: Callable[[int, int], nn.Module]) -> Callable:
    """Other convolutions in place of the two-by-two ones."""

    def change(module: VAEModule) -> None:
        encoder, decoder = module.vae.encoder, module.vae.decoder
        for layer, (a, b) in zip(encoder.layers, itertools.pairwise((2, *model.WIDTHS)), strict=True):
            layer[0] = build(a, b)
        for layer, (a, b) in zip(decoder.layers, itertools.pairwise(model.WIDTHS[::-1]), strict=True):
            layer[0] = rebuild(a, b)
        decoder.magnitude, decoder.frequency = rebuild(model.WIDTHS[0], 1), rebuild(model.WIDTHS[0], 1)
        module.vae.to(memory_format=torch.channels_last)

    return change


KERNEL_3 = resized(
    lambda a, b: nn.Conv2d(a, b, 3, stride=2, padding=1),
    lambda a, b: nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1),
)
KERNEL_4 = resized(
    lambda a, b: nn.Conv2d(a, b, 4, stride=2, padding=1), lambda a, b: nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
)
# name: (width of the fifth layer, change to the module)
VARIANTS = {
    "as it is (2 x 2, fifth 512, strict tanh, one latent)": (512, as_it_is),
    "fifth layer 256": (256, as_it_is),
    "fifth layer 1024": (1024, as_it_is),
    "tanh scaled by 1.1": (512, scaled_tanh),
    "split latent": (512, split_latent),
    "kernels 3 x 3": (512, KERNEL_3),
    "kernels 4 x 4": (512, KERNEL_4),
}


def train(settings: dict, data: SoundDataModule, fifth: int, change: Callable, minutes: float, seed: int) -> dict:
    """Held-out terms, steps and parameters of one variant."""
    lightning.seed_everything(seed, verbose=False)
    model.WIDTHS = (*model.WIDTHS[:-1], fifth)
    parts = {name: settings[name] for name in ("model", "representation", "training")}
    module = VAEModule(**parts, seed=seed)
    change(module)
    accelerator = hardware.accelerator("auto")
    trainer = lightning.Trainer(
        max_time=timedelta(minutes=minutes),
        max_epochs=10_000,
        accelerator=accelerator,
        devices=1,
        precision=hardware.precision("auto", accelerator),
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(module, datamodule=data)
    steps = trainer.global_step
    trainer.limit_val_batches = 1.0
    (terms,) = trainer.validate(module, datamodule=data, verbose=False)
    parameters = sum(weight.numel() for weight in module.parameters()) / 1e6
    return {"parameters (M)": parameters, "steps": steps, **{key[4:]: value for key, value in terms.items()}}


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=2.0)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = arguments.parse_args()
    quieten()
    commandline.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        settings = config.check(compose("config", ["name=choices"]))
    data = SoundDataModule(
        data=settings["data"], augment=settings["augment"], representation=settings["representation"], seed=0
    )
    data.setup()
    shown = ("parameters (M)", "steps", "magnitude", "frequency", "kl", "active_units")
    print(f"| {options.minutes:g} minutes each | {' | '.join(shown)} |\n|---|{'---|' * len(shown)}")
    for name, (fifth, change) in VARIANTS.items():
        for seed in options.seeds:
            found = train(settings, data, fifth, change, options.minutes, seed)
            print(f"| {name}, seed {seed} | {' | '.join(f'{found[key]:.4g}' for key in shown)} |", flush=True)


if __name__ == "__main__":
    main()
