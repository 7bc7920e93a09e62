"""Compare reconstructions of test sounds by a model, trained here or in a finished run, with those by baselines.

The baselines get the training sounds, augmentation, level and number of latents of the model, but not the base model
that it starts from; those with the true frequency get channel 1 of the original.

Axes: N training segments, M test segments, F bins, T frames, S samples.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning
import torch
from torch import Tensor
from torchaudio.transforms import InverseMelScale, MelScale

from vae2ch import metrics, phase
from vae2ch.bench import common, ear, sampling
from vae2ch.cli import hardware
from vae2ch.cli.resume import folder_of
from vae2ch.cli.run import build, run
from vae2ch.cli.run_folder import create_run_folder
from vae2ch.cli.start import initialise, read_start
from vae2ch.codec import BATCH, SoundCodec
from vae2ch.config import RunConfig
from vae2ch.data import SoundDataModule
from vae2ch.data.dataset import evenly_spaced
from vae2ch.errors import InputError
from vae2ch.files import replace_text
from vae2ch.initial_weights.pca import PCA_SEGMENTS
from vae2ch.representation import Representation

MAX_TEST_SEGMENTS, MAX_TRAIN_SEGMENTS = 100, 1000  # the latter for the baselines
ITERATIONS = 64  # of Griffin-Lim where there are no phases to begin with
MELS = 128
CEILING, MODEL = "analysis and synthesis, no model (ceiling)", "the model"
PITCH = ("note accuracy", "raw pitch accuracy (%)", "voicing recall (%)")
COLUMNS = ("LSD (dB)", "MR-STFT", *PITCH, "SNR (dB)", "ViSQOL", "Zimtohrli")
PERCEPTUAL = 24  # test sounds that ViSQOL and Zimtohrli score, which are slow


def griffin_lim(representation: Representation, magnitude: Tensor) -> Tensor:
    """Waveforms of STFT magnitudes [M, F, T] by fast Griffin-Lim iterations from random phases  [M, S]"""
    start = 2 * torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0)) - 1
    return phase.griffin_lim(representation, magnitude, start, iterations=ITERATIONS)


def pca(train: Tensor, original: Tensor, components: int) -> Tensor:
    """Log magnitudes [M, F, T] projected on principal components of training log magnitudes [N, F, T]  [M, F, T]"""
    train, flat = train.flatten(1), original.flatten(1)
    mean = train.mean(dim=0)
    _, weights = torch.linalg.eigh(((train - mean) @ (train - mean).T).double())  # ascending
    kept = min(components, len(train) - 1)
    directions = torch.linalg.qr((train - mean).T @ weights[:, -kept:].float()).Q
    return ((flat - mean) @ directions @ directions.T + mean).clamp(min=0).view_as(original)


def mel(representation: Representation, magnitude: Tensor) -> Tensor:
    """STFT magnitudes [M, F, T] as estimated from their mel spectrograms  [M, F, T]"""
    rate, bins = representation.sample_rate, representation.size.bins
    mels = MelScale(MELS, rate, n_stft=bins)(magnitude)
    return InverseMelScale(bins, MELS, rate, driver="gelsd")(mels).clamp(min=0)


def nearest(train: Tensor, original: Tensor) -> Tensor:
    """The training spectrograms [N, 2, F, T] whose log magnitudes are nearest to those of others  [M, 2, F, T]"""
    return train[torch.cdist(original[:, 0].flatten(1), train[:, 0].flatten(1)).argmin(dim=1)]


def untrained(config: RunConfig, data: SoundDataModule) -> dict[str, SoundCodec]:
    """Models with the initial weights of a run, by the names of their rows."""
    found = {}
    for start in dict.fromkeys(["pca", "base", config.start]):
        lightning.seed_everything(config.seed, verbose=False)  # of the weights that the PCA leaves random
        _, module = build(config)
        known = read_start(start, module.codec.config)
        if start == "pca" or known.base:
            initialise(module, data, known)
            module.codec.autocast_dtype = hardware.autocast_dtype("cpu")  # as of the trained model
            found[f"start={start}, not trained"] = module.codec.eval().requires_grad_(False)
    return found


def decode(codec: SoundCodec, waves: Tensor, optimise: bool = True) -> Tensor:
    """Spectrograms of segments by a model: [M, S] -> [M, 2, F, T]"""
    latent = codec.encode(waves, optimise=optimise).latent[:, 0]
    return torch.cat([codec.spectrogram(part) for part in latent.split(BATCH)])


def methods(
    codec: SoundCodec, others: dict[str, SoundCodec], data: SoundDataModule, waves: Tensor, train: Tensor
) -> dict[str, Callable[[], Tensor]]:
    """The way from spectrogram to waveform [M, S] by each method, given test and training segments [M, S], [N, S]."""
    representation, magnitude = codec.representation, codec.representation.magnitude
    (original, level), train_spectrogram = representation(waves), representation(train).spectrogram
    bins, frames = representation.size
    # PCA is cheap: it gets every training segment and an augmented one of each; the initialisation of the model fewer
    augmented = data.sample_log_magnitudes(max(PCA_SEGMENTS, 2 * len(train)))[:, :bins, :frames]
    linear = pca(augmented, original[:, 0], codec.vae.latent_dim)

    optimised, plain = decode(codec, waves), decode(codec, waves, optimise=False)
    decoded, synthesise = optimised[:, 0], partial(phase.synthesise, representation, level=level)

    def iterate(estimate: Tensor) -> Tensor:
        return level[:, None] * griffin_lim(representation, estimate)

    def with_true_frequency(log_magnitude: Tensor) -> Tensor:
        return representation.inverse(torch.stack([log_magnitude, original[:, 1]], dim=1), level)

    first = {name: decode(other, waves) for name, other in others.items()}
    return {
        CEILING: lambda: synthesise(original),
        MODEL: lambda: synthesise(optimised),
        **{name: partial(synthesise, decoded) for name, decoded in first.items()},
        "the model, latents as the encoder gives them": lambda: synthesise(plain),
        "its decoder, frequency summed bin by bin": lambda: representation.inverse(optimised, level),
        f"its decoder, {ITERATIONS} Griffin-Lim iterations": lambda: iterate(magnitude(decoded)),
        "its decoder, true frequency": lambda: with_true_frequency(decoded),
        "PCA, true frequency": lambda: with_true_frequency(linear),
        f"PCA, {ITERATIONS} Griffin-Lim iterations": lambda: iterate(magnitude(linear)),
        "the nearest training sound": lambda: representation.inverse(nearest(train_spectrogram, original), level),
        f"{MELS} mels, {ITERATIONS} Griffin-Lim iterations, no model": lambda: iterate(
            mel(representation, magnitude(original[:, 0]))
        ),
    }


@torch.no_grad()
def evaluate(codec: SoundCodec, others: dict[str, SoundCodec], data: SoundDataModule, perceptual: int) -> dict:
    """Scores and seconds of every method, and distances of sampled sounds.

    ``perceptual`` is the number of test sounds that are scored by ``ear``.
    """
    waves, lengths, files = common.segments(data, "test", MAX_TEST_SEGMENTS)
    train, _, _ = common.segments(data, "train", MAX_TRAIN_SEGMENTS)
    originals, rate = [wave[:length] for wave, length in zip(waves, lengths, strict=True)], codec.sample_rate
    pitches = [metrics.pitch(original, rate) for original in originals]
    scores, seconds, chosen = {}, {}, set(evenly_spaced(min(perceptual, len(waves)), len(waves)))
    for name, method in methods(codec, others, data, waves, train).items():
        begin = time.perf_counter()
        estimates = method()
        seconds[name] = time.perf_counter() - begin
        sounds = zip(originals, estimates, pitches, strict=True)
        scores[name] = [metrics.score(wave, other[: len(wave)], rate, pitch) for wave, other, pitch in sounds]
        for number in sorted(chosen):
            original = originals[number]
            scores[name][number] |= ear.score(original, estimates[number][: len(original)], rate)
        print(f"  {name}: MR-STFT {mean(scores[name], 'multi_resolution_stft'):.3f}", file=sys.stderr, flush=True)
    pairs = sorted(zip(files, scores[MODEL], strict=True), key=lambda pair: -pair[1]["multi_resolution_stft"])
    worst = [{"file": file, **score} for file, score in pairs]
    distances, traits = sampling.evaluate(codec, train, waves)
    return {"scores": scores, "seconds": seconds, "worst_first": worst, "distances": distances, "traits": traits}


def mean(scores: list[dict[str, float]], name: str) -> float:
    """Mean over the sounds that have a measure; an infinite one, the SNR of an exact copy, is left out."""
    values = [score[name] for score in scores if math.isfinite(score.get(name, math.inf))]
    return sum(values) / len(values) if values else math.nan


def cells(scores: list[dict[str, float]]) -> list[str]:
    """Cells of a table, as in ``COLUMNS``."""
    notes = [score["note_accuracy"] for score in scores if "note_accuracy" in score]
    return [
        f"{mean(scores, 'log_spectral_distance'):.2f}",
        f"{mean(scores, 'multi_resolution_stft'):.3f}",
        f"{sum(notes):.0f}/{len(notes)}",
        f"{100 * mean(scores, 'raw_pitch_accuracy'):.1f}",
        f"{100 * mean(scores, 'voicing_recall'):.1f}",
        f"{mean(scores, 'snr'):.1f}",
        f"{mean(scores, 'visqol'):.2f}",
        f"{mean(scores, 'zimtohrli'):.4f}",
    ]


def tables(found: dict, title: str) -> str:
    """All results but those of single files, in Markdown."""
    scores = ([name, *cells(rows), f"{found['seconds'][name]:.2f}"] for name, rows in found["scores"].items())
    distances = ([name, f"{value:.1f}"] for name, value in found["distances"].items())
    traits = ([name, *(f"{value:.2f}" for value in row.values())] for name, row in found["traits"].items())
    units = [f"{name} ({unit})" for name, unit in sampling.UNITS.items()]
    first = common.table(["test sounds by", *COLUMNS, "s"], scores)
    second = common.table(["distance of decoded log magnitudes", "RMS (dB)"], distances)
    third = common.table(["Wasserstein distance from the test sounds", *units], traits)
    return f"### {title}\n\n{first}\n\n{second}\n\n{third}"


def main() -> None:
    """Train or load, evaluate, print, and write the tables."""
    parser = common.build_parser(
        "sound", "Compare a model with baselines on its test sounds.", "--data sounds/ --minutes 10 preset=heavy"
    )
    parser.add_argument("--minutes", metavar="N", type=common.positive_number, help="time limit of the training")
    parser.add_argument(
        "--perceptual",
        metavar="N",
        type=common.integer_from(0),
        default=PERCEPTUAL if ear.installed() else 0,
        help=f"test sounds that ViSQOL and Zimtohrli score; default: {PERCEPTUAL} where the extra ear is installed",
    )
    parser.add_argument("--run", type=Path, help="evaluate this run, which had the same DIR and OVERRIDES")
    with common.one_line_errors():
        options = parser.parse_intermixed_args()
        if options.perceptual and not ear.installed():
            raise InputError("--perceptual needs ViSQOL and Zimtohrli: pip install -e '.[ear]'")
        limit = [] if options.minutes is None else [f"minutes={options.minutes}"]
        config = common.settings(options.data, ["name=bench-sound", *options.overrides, *limit])
        folder = options.run or Path(create_run_folder("outputs", config.name))
        if options.run is None:
            run(config, folder)
        codec, data = common.load(folder, config)
        found = evaluate(codec, untrained(config, data), data, options.perceptual)
        sizes = f"{len(data.datasets['train'])} training segments, {len(found['worst_first'])} test segments"
        summary = tables(found, f"{data.collection.root.name}: {sizes}, preset {config.preset}")
        files = common.table(["file", *COLUMNS], ([row["file"], *cells([row])] for row in found["worst_first"]))
        folder = folder_of(folder)
        (folder / "sound.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        replace_text(folder / "sound.md", f"{summary}\n\n{files}\n")
        print(summary)


if __name__ == "__main__":
    main()
