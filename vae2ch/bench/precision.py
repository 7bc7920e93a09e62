"""Whether bf16 costs anything: held-out losses and measures of float32 and bf16 after the same steps.

    python -m vae2ch.bench.precision --steps 400 --seeds 3

A seed sets the weights, the order, the variations and the noise; the split stays the same, so that all
runs are judged on the same sounds.
"""

import argparse

import lightning

from vae2ch import commandline, inference
from vae2ch.bench import brief
from vae2ch.bench.brief import segments
from vae2ch.bench.scores import heard_pitches, mean, score
from vae2ch.data import SoundDataModule
from vae2ch.run import begin, build
from vae2ch.training import VAEModule

PRECISIONS = ("32-true", "bf16-mixed")
TERMS = ("magnitude", "frequency", "kl")
MEASURES = ("log_spectral_distance", "multi_resolution_stft", "pitch_right")


def train(settings: dict, data: SoundDataModule, precision: str, steps: int, seed: int) -> dict[str, float]:
    """Loss terms on the validation sounds and measures on the test sounds, of one run."""
    lightning.seed_everything(seed, verbose=False)
    data.seed = seed
    module = VAEModule(**{part: settings[part] for part in ("model", "representation", "training")}, seed=seed)
    begin(module, data)
    trainer = brief.fit(module, data, None, steps=steps, precision=precision)
    trainer.limit_val_batches = 1.0
    (terms,) = trainer.validate(module, datamodule=data, verbose=False)
    module.eval()
    waves, lengths, labels = segments(data, "test", len(data.datasets["test"]))
    made = [inference.reconstruct(module, wave) for wave in waves]
    rate = module.representation.sample_rate
    rows = score(waves, made, lengths, heard_pitches(waves, lengths, labels, rate), rate)
    found = {name: terms[f"val/{name}"] for name in TERMS}
    return found | {name: mean(rows, name) for name in MEASURES}


def apart(one: list[float], other: list[float]) -> bool:
    """Whether the ranges of two lists of values have nothing in common."""
    return max(one) < min(other) or max(other) < min(one)


def main() -> None:
    """Print the table, and where the two precisions lie apart."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=400)
    arguments.add_argument("--seeds", type=int, default=3, help="how many")
    arguments.add_argument("overrides", nargs="*", help="settings, as for train.py")
    options = arguments.parse_args()
    columns = TERMS + MEASURES
    with commandline.refusals():
        settings = brief.settings(options.overrides)
        data, _ = build(settings)
        data.setup()
        print(f"| {options.steps} steps | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
        found: dict[str, list[dict[str, float]]] = {precision: [] for precision in PRECISIONS}
        for seed in range(options.seeds):
            for precision, rows in found.items():
                rows.append(train(settings, data, precision, options.steps, seed))
                cells = " | ".join(f"{rows[-1][name]:.4g}" for name in columns)
                print(f"| {precision}, seed {seed} | {cells} |", flush=True)
    for name in columns:
        one, other = ([row[name] for row in rows] for rows in found.values())
        ranges = " and ".join(f"{min(values):.4g} to {max(values):.4g}" for values in (one, other))
        print(f"{name}: {ranges}: {'APART' if apart(one, other) else 'overlapping'}")


if __name__ == "__main__":
    main()
