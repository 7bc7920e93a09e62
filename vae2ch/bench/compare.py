"""Compare variants of the settings or of the network after equal trainings.

    python -m vae2ch.bench.compare --seeds 3 --variant "medium: preset=medium" --variant "heavy: preset=heavy"
    python -m vae2ch.bench.compare --steps 300 --variant "as it is:" --variant "random: start=random" data.test=0.2

Distances are means over the validation and test segments, the other columns are terms of the validation loss. With
several seeds a cell has the mean, the lowest and the highest value. A seed sets the weights, the order, the
augmentation and the noise, not the split.
"""

import argparse
import statistics
import sys
from itertools import product

import lightning
import torch

from vae2ch import metrics
from vae2ch.bench import common
from vae2ch.bench.patches import CALLBACKS, PATCHES
from vae2ch.cli import hardware
from vae2ch.cli.run import build
from vae2ch.cli.start import initialise, read_start
from vae2ch.codec import SoundCodec
from vae2ch.config import RunConfig
from vae2ch.data import SoundDataModule
from vae2ch.errors import InputError, suggest

DEFAULT_STEPS = 450
LIMITS = ("minutes", "trainer.max_epochs", "training.patience")  # end a run, but not these trainings


def parse_variant(text: str, options: argparse.Namespace) -> tuple[str, RunConfig, list[str]]:
    """Name, settings and patches of a ``--variant``, whose words are overrides if they contain ``=``, else patches."""
    name, colon, words = text.partition(":")
    if not colon or "=" in name:
        raise InputError(f'--variant {text}: a name and a colon come first, as in "heavy: preset=heavy"')
    patches, overrides = ([word for word in words.split() if ("=" in word) == given] for given in (False, True))
    overrides = [*options.overrides, *overrides]
    for override in overrides:
        if override.partition("=")[0] in LIMITS:
            raise InputError(f"{override} has no effect here; give --steps or --minutes")
    for patch in patches:
        if patch not in (known := [*PATCHES, *CALLBACKS]):
            raise InputError(f"--variant {text}: unknown patch {patch}; {suggest(patch, known)}")
    return name.strip(), common.settings(options.data, overrides), patches


def keep_segments(data: SoundDataModule, count: int) -> None:
    """Keep ``count`` random training segments; smaller sets are subsets of larger ones."""
    train = data.datasets["train"]
    if len(train) < count:
        raise InputError(f"--sizes {count}: there are {len(train)} training segments")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).tolist()
    train.excerpts = [train.excerpts[index] for index in sorted(order[:count])]


def train(
    config: RunConfig, patches: list[str], seed: int, size: int | None, *, steps: int, minutes: float | None
) -> dict[str, float]:
    """Distances, validation terms and number of steps of one training, by the titles of their columns."""
    lightning.seed_everything(seed, verbose=False)
    data, module = build(config)
    data.setup()
    if size is not None:
        keep_segments(data, size)
    data.seed = module.seed = seed  # only now, as the split depends on the seed too
    initialise(module, data, read_start(config.start, module.codec.config))
    for patch in (patch for patch in patches if patch in PATCHES):
        PATCHES[patch](module.codec.vae)
    module.codec.vae.to(memory_format=torch.channels_last)
    callbacks = [CALLBACKS[patch]() for patch in patches if patch in CALLBACKS]
    trainer = common.fit(config, module, data, steps, minutes, callbacks)
    steps = trainer.global_step
    trainer.limit_val_batches = 1.0
    (terms,) = trainer.validate(module, datamodule=data, verbose=False)
    codec = module.codec.to(hardware.inference_device("auto")).eval()  # Lightning leaves it on the CPU
    found = {term: terms[f"val/{term}"] for term in ("magnitude", "amplitude", "frequency", "kl")} | {"steps": steps}
    return held_out_distances(codec, data) | found


def held_out_distances(codec: SoundCodec, data: SoundDataModule) -> dict[str, float]:
    """Mean distances of the validation and test segments from their reconstructions."""
    spectral, stft = [], []
    for split in ("validation", "test"):
        waves, lengths, _ = common.segments(data, split, len(data.datasets[split]))
        estimates = codec.reconstruct(waves.to(codec.device)).cpu()
        for wave, estimate, length in zip(waves, estimates, lengths, strict=True):
            wave, estimate = wave[:length], estimate[:length]
            spectral.append(float(metrics.log_spectral_distance(wave[None], estimate[None])))
            stft.append(float(metrics.multi_resolution_stft(wave, estimate)))
    return {"LSD (dB)": statistics.mean(spectral), "MR-STFT": statistics.mean(stft)}


def cell(values: list[float]) -> str:
    """Mean, and the range if the values differ."""
    mean, low, high = (f"{value:.4g}" for value in (statistics.mean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


def compare(options: argparse.Namespace) -> str:
    """Train every variant on every size with every seed; returns the table."""
    steps, rows = options.steps, []
    if steps is None:
        steps = -1 if options.minutes else DEFAULT_STEPS
    variants = [parse_variant(text, options) for text in options.variant or ["as configured:"]]
    sizes = sorted(options.sizes or [None], reverse=True)  # so that one that is too large is reported at once
    for size, (name, config, patches) in product(sizes, variants):
        name = name if size is None else f"{name}, {size} segments"
        found = []
        for seed in range(config.seed, config.seed + options.seeds):
            found.append(train(config, patches, seed, size, steps=steps, minutes=options.minutes))
            print(f"{name}, seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
        rows.append([name, *(cell([values[column] for values in found]) for column in found[0])])
    return common.table(["variant", *found[0]], rows)


def main() -> None:
    """Print the table; each training is also reported on the standard error as it ends."""
    parser = common.build_parser(
        "compare",
        "Compare variants of the settings or of the network after equal trainings.",
        '--data sounds/ --steps 300 --variant "as it is:" --variant "random: start=random"',
    )
    limit = parser.add_mutually_exclusive_group()
    count, text = common.integer_from(1), f"of each training; 0: none; default: {DEFAULT_STEPS}"
    limit.add_argument("--steps", metavar="N", type=common.integer_from(0), help=text)
    limit.add_argument("--minutes", metavar="M", type=common.positive_number, help="of each training")
    parser.add_argument("--seeds", metavar="K", type=count, default=1, help="trainings of each variant")
    parser.add_argument("--sizes", metavar="N", type=count, nargs="+", help="training segments; after OVERRIDES")
    text = f"patches: {', '.join([*PATCHES, *CALLBACKS])}"
    parser.add_argument("--variant", metavar="TEXT", action="append", help=text)
    with common.one_line_errors():
        print(compare(parser.parse_intermixed_args()))


if __name__ == "__main__":
    main()
