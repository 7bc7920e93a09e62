"""Evaluate synthesis that gives decoded noise the random fine structure of noise, by measures of texture.

A decoder gives the mean log magnitude of a noise, which is smoother than any noise. Here bins that are no part of a
spectral peak get the phases of white noise, and its magnitudes relative to their mean.

Axes: M segments, F bins, T frames, S samples.
"""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vae2ch import metrics, phase
from vae2ch.bench import common, ear
from vae2ch.bench.sound import decode
from vae2ch.representation import Representation

PEAK_DB = 9.0  # a peak is at least this far above the mean level of the bins around it
SURROUNDINGS = 25  # bins around it
PEAK_BINS = 5  # bins that belong to a peak
MEAN_LOG_RAYLEIGH = -0.5772 / 2  # mean log of a Rayleigh magnitude whose mean square is 1, by Euler's constant
BANDS = 16  # of the modulation spectrum
EPSILON = 1e-6


def decibels(magnitude: Tensor) -> Tensor:
    """Level of magnitudes; same shape."""
    return 20 * torch.log10(magnitude.clamp(min=EPSILON))


def is_noise(magnitude: Tensor) -> Tensor:
    """Whether bins are no part of a peak that stands out: [M, F, T], same shape."""
    level = decibels(magnitude)[:, None]
    around = functional.avg_pool2d(level, (SURROUNDINGS, 1), 1, (SURROUNDINGS // 2, 0), count_include_pad=False)
    return functional.max_pool2d(level - around, (PEAK_BINS, 1), 1, (PEAK_BINS // 2, 0))[:, 0] < PEAK_DB


def with_grain(representation: Representation, spectrogram: Tensor, amount: float) -> Tensor:
    """Waveforms of decoded spectrograms, their noise with some of the grain of white noise: [M, 2, F, T] -> [M, S]"""
    log_magnitude, frequency = spectrogram.float().unbind(dim=1)
    magnitude = representation.magnitude(log_magnitude)
    random = torch.Generator().manual_seed(0)
    noise = representation.stft(torch.randn(len(magnitude), representation.segment, generator=random))
    relative = noise.abs() / noise.abs().square().mean().sqrt() / math.exp(MEAN_LOG_RAYLEIGH)
    noisy = is_noise(magnitude) & (amount > 0)
    target = torch.where(noisy, magnitude * relative**amount, magnitude)
    phases = torch.where(noisy, noise.angle() / math.pi, phase.lock_phases(representation, magnitude, frequency))
    return phase.griffin_lim(representation, target, phases)


def modulation_spectrum(representation: Representation, wave: Tensor) -> Tensor:
    """Log spectra of the log energies of bands over time: [S] -> [N]"""
    magnitude = representation.stft(wave[None])[0].abs()
    bands = torch.stack([part.square().mean(dim=0) for part in magnitude.tensor_split(BANDS)])
    energy = torch.log(bands + EPSILON)
    return torch.log(torch.fft.rfft(energy - energy.mean(dim=1, keepdim=True)).abs().mean(dim=0) + 1e-3)


def grains(representation: Representation, wave: Tensor) -> Tensor:
    """Percentiles of the levels of bins relative to the mean around them, in dB: [S] -> [99]"""
    level = decibels(representation.stft(wave[None]).abs())[:, None]
    around = functional.avg_pool2d(level, (9, 5), 1, (4, 2), count_include_pad=False)
    return torch.quantile((level - around).flatten(), torch.linspace(0.01, 0.99, 99))


def scores(representation: Representation, original: Tensor, estimate: Tensor, length: int) -> list[float]:
    """Measures of one segment [S] of a sound whose first ``length`` samples are no padding."""
    spectra, spread = (
        [of(representation, wave) for wave in (original, estimate)] for of in (modulation_spectrum, grains)
    )
    pair = original[:length], estimate[:length]
    perceptual = ear.score(*pair, representation.sample_rate) if ear.installed() else {}
    return [
        float(metrics.log_spectral_distance(pair[0][None], pair[1][None])),
        float(metrics.multi_resolution_stft(*pair)),
        float((spread[0] - spread[1]).abs().mean()),
        float((spectra[0] - spectra[1]).abs().mean()),
        *(perceptual.get(name, math.nan) for name in ear.MODULES),
    ]


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = common.build_parser("grain", "Measure noise with its grain put back.", "--run outputs/RUN --data sounds/")
    parser.add_argument("--run", metavar="RUN", type=Path, required=True, help="trained on DIR with OVERRIDES")
    common.add_numbers(parser, ("sounds", 24, "test sounds"))
    with common.one_line_errors():
        options = parser.parse_intermixed_args()
        codec, data = common.load(options.run, common.settings(options.data, options.overrides))
        waves, lengths, _ = common.segments(data, "test", options.sounds)
        spectrogram, level = decode(codec, waves), codec.representation(waves).level
        rows = []
        for amount in (0.0, 0.5, 1.0):
            made = level[:, None] * with_grain(codec.representation, spectrogram, amount)
            found = [scores(codec.representation, *sound) for sound in zip(waves, made, lengths, strict=True)]
            means = torch.tensor(found).nanmean(dim=0).tolist()
            rows.append([f"{amount:g}", *(f"{mean:.3f}" for mean in means)])
        columns = ("LSD (dB)", "MR-STFT", "grain (dB)", "modulation", "ViSQOL", "Zimtohrli")
        print(common.table(["share of the grain", *columns], rows))


if __name__ == "__main__":
    main()
