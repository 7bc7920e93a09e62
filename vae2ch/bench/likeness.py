"""How alike two collections of sounds are in what the ear goes by first: level, brightness and decay."""

import torch
from torch import Tensor

WINDOW, HOP = 512, 128  # samples of a frame, and from one to the next
FALL = 20.0  # dB below its loudest frame, where a sound has decayed
QUANTILES = 100
UNITS = {"level": "dB", "brightness": "octaves", "decay": "s"}


def traits(waves: Tensor, sample_rate: int) -> dict[str, Tensor]:
    """Of sounds [N, S], one value each  [N]

    ``level``: RMS of the loudest frame, in dB of full scale. ``brightness``: the spectrum's centroid, weighted by
    energy, in octaves above 1 Hz. ``decay``: seconds from the loudest frame to the last one that is not ``FALL`` below.
    """
    energy = waves.unfold(-1, WINDOW, HOP).square().mean(dim=-1).clamp(min=1e-12)  # [N, T]
    loudest, peak = energy.max(dim=-1)
    sounding = energy >= loudest[:, None] * 10 ** (-FALL / 10)
    last = (sounding * torch.arange(energy.shape[-1])).amax(dim=-1)
    power = torch.fft.rfft(waves).abs().square()
    hertz = torch.fft.rfftfreq(waves.shape[-1], 1 / sample_rate)
    centroid = (power * hertz).sum(dim=-1) / power.sum(dim=-1).clamp(min=1e-12)
    return {
        "level": 10 * loudest.log10(),
        "brightness": centroid.clamp(min=1).log2(),
        "decay": (last - peak) * HOP / sample_rate,
    }


def wasserstein(these: Tensor, others: Tensor) -> float:
    """How far one set of values [N] must be moved to become another [M], on average: the 1-Wasserstein distance."""
    at = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    # a collection's own values: torch's quantile would put more between them
    one, other = (values.sort().values[(at * len(values)).long()] for values in (these, others))
    return float((one - other).abs().mean())


def unlike(these: Tensor, others: Tensor, sample_rate: int) -> dict[str, float]:
    """How far the traits of sounds [N, S] are from those of others [M, S]."""
    one, other = traits(these, sample_rate), traits(others, sample_rate)
    return {name: wasserstein(one[name], other[name]) for name in one}
