"""The judge: a model trained for some minutes, beside what one would use without it, on sounds it never heard.

    make bench-sound DATA=DIR MINUTES=10
    make bench-sound DATA=DIR ARGS="--run outputs/bench-sound"   judges that run again, without training

Every method makes the same held-out sounds. The baselines get what the model gets: the same
training sounds, the same representation, the same number of latents; PCA with the true frequency gets more.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchaudio.transforms import InverseMelScale, MelScale

from vae2ch import commandline, inference
from vae2ch.bench import brief
from vae2ch.bench.brief import segments
from vae2ch.bench.drawing import DRAWN, among, draws, latents, nearest, pictures
from vae2ch.bench.likeness import UNITS, unlike
from vae2ch.bench.scores import heard_pitches, in_pitch, mean, score
from vae2ch.data import SoundDataModule
from vae2ch.data.dataset import spread
from vae2ch.representation import Representation
from vae2ch.run import GLIMPSE, run
from vae2ch.synthesis import nearer, synthesise
from vae2ch.training import VAEModule

ITERATIONS = 64  # of Griffin-Lim
MOMENTUM = 0.99  # of these, torchaudio's default
MELS = 128
MEASURED = 100  # held-out sounds at most
TRAINED = 1000  # training sounds that the baselines learn from, at most


def griffin_lim(representation: Representation, magnitude: Tensor, seed: int = 0) -> Tensor:
    """Sound from channel 0 alone [M, F, T], by 64 fast Griffin-Lim iterations from a random phase  [M, S]

    Perraudin et al. (2013), "A fast Griffin-Lim algorithm", as in torchaudio. That one takes what is beyond a sound's
    ends for its mirror image, though, and here it is silence: the first frames, where drums are loudest, would not fit.
    """
    amplitude = representation.amplitude(magnitude)
    turns = torch.rand(amplitude.shape, generator=torch.Generator().manual_seed(seed)).to(amplitude)
    spectrum = torch.polar(amplitude, 2 * math.pi * turns)
    before = torch.zeros_like(spectrum)
    for _ in range(ITERATIONS):
        rebuilt = representation.spectrum(representation.synthesise(spectrum))
        spectrum = nearer(rebuilt - MOMENTUM / (1 + MOMENTUM) * before, amplitude, overshoot=0.0)
        before = rebuilt
    return representation.synthesise(spectrum)


@dataclass(frozen=True)
class Case:
    """What the methods are given.

    Attributes:
        module: the trained model
        train: spectrograms of the training segments  [N, 2, F, T]
        seen: levelled magnitudes of the training segments, and of variations of them  [N, F, T]
        held_out: of the held-out ones  [M, 2, F, T]
    """

    module: VAEModule
    train: Tensor
    seen: Tensor
    held_out: Tensor

    @property
    def representation(self) -> Representation:
        """Of the model."""
        return self.module.representation

    def with_true_frequency(self, magnitude: Tensor) -> Tensor:
        """Sound from channel 0 [M, F, T] with the original's own phase  [M, S]"""
        return self.representation.inverse(torch.stack([magnitude, self.held_out[:, 1]], dim=1))

    def pca(self) -> Tensor:
        """Held-out magnitudes through a linear PCA of the training magnitudes with as many latents  [M, F, T]

        Each sound at its own level, like the model.
        """
        (levelled, level), seen = self.representation.levelled(self.held_out), self.seen.flatten(1)
        held_out = levelled[:, 0].flatten(1)
        mean = seen.mean(dim=0)
        _, weights = torch.linalg.eigh(((seen - mean) @ (seen - mean).T).double())
        kept = min(self.module.vae.latent_dim, len(seen) - 1)
        directions = torch.linalg.qr((seen - mean).T @ weights[:, -kept:].float()).Q
        made = ((held_out - mean) @ directions @ directions.T + mean).clamp(min=0)
        spectrograms = torch.stack([made.view_as(self.held_out[:, 0]), self.held_out[:, 1]], dim=1)
        return self.representation.scaled(spectrograms, level)[:, 0]

    def neighbour(self) -> Tensor:
        """The training segment nearest to each held-out one in log magnitude, brought to its level  [M, S]"""
        (held_out, level), (train, _) = (self.representation.levelled(part) for part in (self.held_out, self.train))
        distances = torch.cdist(held_out[:, 0].flatten(1), train[:, 0].flatten(1))
        return self.representation.inverse(self.representation.scaled(train[distances.argmin(dim=1)], level))

    def mel(self) -> Tensor:
        """What a mel spectrogram keeps: 128 bands and back, phase by Griffin-Lim; no model  [M, S]"""
        representation = self.representation
        rate, bins = representation.sample_rate, representation.size.bins
        mels = MelScale(MELS, rate, n_stft=bins)(representation.amplitude(self.held_out[:, 0]))
        amplitude = InverseMelScale(bins, MELS, rate, driver="gelsd")(mels).clamp(min=0)
        return griffin_lim(representation, representation.magnitude(amplitude))

    def decoded(self) -> Tensor:
        """What the decoder gives for the held-out segments  [M, 2, F, T]"""
        with torch.inference_mode():
            return torch.cat([self.module.reconstruct(part) for part in self.held_out.split(inference.BATCH)])

    def unrefined(self) -> Tensor:
        """What the decoder gives for the latents that the encoder gives  [M, 2, F, T]"""
        levelled, level = self.representation.levelled(self.held_out)
        with torch.inference_mode():
            made = torch.cat([self.module.vae(part)[0] for part in levelled.split(inference.BATCH)])
        return self.representation.scaled(made, level)


def methods(case: Case) -> dict[str, Callable[[], Tensor]]:
    """Every way to make the held-out sounds; what is timed is the way from spectrogram to sound."""
    representation, pca, made, unrefined = case.representation, case.pca(), case.decoded(), case.unrefined()
    return {
        "analysis and synthesis, no model (ceiling)": lambda: synthesise(representation, case.held_out),
        "the model": lambda: synthesise(representation, made),
        "the model, latents as the encoder gives them": lambda: synthesise(representation, unrefined),
        "its decoder, frequency summed bin by bin": lambda: representation.inverse(made),
        f"its decoder, {ITERATIONS} Griffin-Lim iterations": lambda: griffin_lim(representation, made[:, 0]),
        "its decoder, true frequency": lambda: case.with_true_frequency(made[:, 0]),
        "PCA, true frequency": lambda: case.with_true_frequency(pca),
        f"PCA, {ITERATIONS} Griffin-Lim iterations": lambda: griffin_lim(representation, pca),
        "the nearest training sound": case.neighbour,
        f"{MELS} mels, {ITERATIONS} Griffin-Lim iterations, no model": case.mel,
    }


def sounds(module: VAEModule, latent: Tensor, peak: Tensor) -> Tensor:
    """What latents [N, D] sound like with peaks [N]  [N, S]"""
    parts = zip(latent.split(inference.BATCH), peak.split(inference.BATCH), strict=True)
    return torch.cat([inference.render(module, *part) for part in parts])


def generation(module: VAEModule, train: Tensor, held_out: Tensor) -> dict[str, dict]:
    """How far drawn sounds are from those that they were drawn from, and from real ones [N, S], [M, S].

    ``distances`` are of ``drawing``, in dB: of a copy 0, as of two draws that are the same. ``copies`` has every draw's
    to the nearest that draws start from. ``traits`` has the distances of ``likeness`` to the held-out sounds, of
    as many training sounds as draws, or all. What real sounds have, the first rows tell.
    """
    representation = module.representation
    drawn, peak = draws(module)
    prior = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))
    known, others, near, free = (
        pictures(module, found) for found in (module.known, latents(module, held_out), drawn, prior)
    )
    copies = {"the model": nearest(near, known), "the prior": nearest(free, known)}
    distances = {
        "held-out sounds to the nearest that draws start from, median": nearest(others, known).median(),
        "the least of these": nearest(others, known).min(),
        "sounds drawn from the model to the nearest that draws start from, median": copies["the model"].median(),
        "the least of those": copies["the model"].min(),
        "sounds drawn from the prior to the nearest that draws start from, median": copies["the prior"].median(),
        "the two drawn from the model that are most alike": among(near).min(),
    }
    made, unplaced = (sounds(module, found, peak) for found in (drawn, prior))
    some = train[spread(DRAWN, len(train))]
    collections = {"training sounds": some, "drawn from the model": made, "drawn from the prior": unplaced}
    return {
        "distances": {name: float(value) for name, value in distances.items()},
        "copies": {name: values.tolist() for name, values in copies.items()},
        "traits": {name: unlike(waves, held_out, representation.sample_rate) for name, waves in collections.items()},
    }


def judge(module: VAEModule, data: SoundDataModule) -> dict:
    """Scores of every method, of every held-out sound, and of what the model draws."""
    representation = module.representation
    waves, lengths, labels = segments(data, "test", MEASURED)
    train, _, _ = segments(data, "train", TRAINED)
    bins, frames = representation.size
    # PCA is cheap: it sees every training sound, to half a gigabyte, and a variation of each; the model's start, some
    seen = data.glimpse(max(GLIMPSE, 2 * len(train)))[:, :bins, :frames]
    case = Case(module, representation(train), seen, representation(waves))
    pitches = heard_pitches(waves, lengths, labels, representation.sample_rate)
    scores, seconds = {}, {}
    for name, make in methods(case).items():
        begin = time.perf_counter()
        estimates = make()
        seconds[name] = time.perf_counter() - begin
        scores[name] = score(waves, estimates, lengths, pitches, representation.sample_rate)
        print(f"  {name}: {mean(scores[name], 'multi_resolution_stft'):.3f}", flush=True)
    return {"files": labels, "scores": scores, "seconds": seconds, "generation": generation(module, train, waves)}


def report(found: dict, title: str) -> str:
    """The tables, in Markdown."""
    lines = [
        f"### {title}",
        "",
        "| how the held-out sounds are made | LSD (dB) | MR-STFT | pitch right | pitch kept (%) | SNR (dB) | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in found["scores"].items():
        cells = [f"{mean(rows, 'log_spectral_distance'):.2f}", f"{mean(rows, 'multi_resolution_stft'):.3f}"]
        cells += [in_pitch(rows), f"{mean(rows, 'snr'):.1f}", f"{found['seconds'][name]:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| log magnitude as the decoder makes it, RMS | dB |", "|---|---|"]
    lines += [f"| {name} | {value:.1f} |" for name, value in found["generation"]["distances"].items()]
    units = " | ".join(f"{name} ({unit})" for name, unit in UNITS.items())
    lines += ["", f"| Wasserstein distance to the held-out sounds | {units} |", f"|---|{'---|' * len(UNITS)}"]
    for name, away in found["generation"]["traits"].items():
        lines.append(f"| {name} | {' | '.join(f'{away[trait]:.2f}' for trait in UNITS)} |")
    return "\n".join(lines)


def worst_first(found: dict) -> list[dict]:
    """The measures of what the model makes of each held-out sound, the worst first."""
    rows = zip(found["files"], found["scores"]["the model"], strict=True)
    return sorted(({"file": file, **row} for file, row in rows), key=lambda row: -row["multi_resolution_stft"])


def each(rows: list[dict]) -> str:
    """A table of every file, in Markdown."""
    lines = ["| file | MR-STFT | LSD (dB) | pitch right | pitch kept (%) |", "|---|---|---|---|---|"]
    for row in rows:
        pitch = f"{row['pitch_right']:.0f} | {100 * row['pitch_kept']:.0f}" if "pitch_right" in row else " | "
        cells = f"{row['multi_resolution_stft']:.3f} | {row['log_spectral_distance']:.2f} | {pitch}"
        lines.append(f"| {row['file'].replace('|', '/')} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Train, judge, print; JSON and Markdown have every file too, worst first."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", default="", help="a folder of sounds; the built-in notes where none is given")
    arguments.add_argument("--minutes", type=float, default=10.0)
    arguments.add_argument("--run", type=Path, help="judge this run, trained with the settings given here")
    arguments.add_argument("overrides", nargs="*", help="settings, as for train.py")
    with commandline.refusals():
        options = arguments.parse_intermixed_args()
        settings = brief.settled([f"minutes={options.minutes}", *brief.source(options.data), *options.overrides])
        out = options.run
        if out is None:
            out = Path(commandline.run_folder("outputs", "bench-sound"))
            run(settings, out)
        module, data = brief.finished(out, settings)
        found = judge(module, data)
    found["worst_first"] = worst_first(found)
    out = out if out.is_dir() else out.parent  # of a checkpoint
    (out / "sound.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    sizes = f"{len(data.datasets['train'])} to train on, {len(found['files'])} held out"
    training = f"preset {settings['preset']}, {options.minutes:g} minutes" if options.run is None else str(options.run)
    title = f"{options.data or 'the built-in notes'}: {sizes}, {training}"
    tables = report(found, title)
    (out / "sound.md").write_text(f"{tables}\n\n{each(found['worst_first'])}\n", encoding="utf-8")
    print(tables)


if __name__ == "__main__":
    main()
