"""Phases in which the bins of one partial, and what sets in together, stay together.

What a model makes has a frequency for every bin, each a little off. Here a bin that is a peak leads, and those
around it follow. What the way from one to the other is, the amplitudes tell: under a Hann window both the place of a
click between frames and that of a partial between bins can be read off three of them.

Axes: B batch, F frequency bins, T time frames. Phases and frequencies are in half-turns, as in channel 1.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from vae2ch.representation import Representation, wrap

NEW = 0.25  # of its amplitude a bin had a frame before, at most, where a sound sets in
LEAST = 1e-12  # that anything is divided by
POWER = 0.23  # of an amplitude, by which the lobe of a Hann window is nearly a parabola


def group_delay(amplitude: Tensor, n_fft: int, hop: int) -> Tensor:
    """How long after its frame's centre the energy of a bin is, in samples: [T, B, F] -> [T, B, F]

    A click d samples after the centre comes through a Hann window of N samples as cos^2(pi d / N). The roots of three
    frames in a row are thus samples of one cosine, whose phase is sought: cos(a - h) - cos(a + h) = 2 sin(a) sin(h).
    Exact where three frames hear it, as far as N / 2 less a hop from the centre; beyond, up to an eighth too near.
    """
    root, step = amplitude.clamp(min=LEAST).sqrt(), math.pi * hop / n_fft
    ends = 2 * math.cos(step) * root[[0, -1]] - root[[1, -2]]  # beyond the ends it goes on
    around = torch.cat([ends[:1], root, ends[1:]])
    return n_fft / math.pi * torch.atan((around[2:] - around[:-2]) / (2 * math.sin(step) * root))


def partials(amplitude: Tensor, n_fft: int, hop: int) -> Tensor:
    """Frequencies of the partials that have their peaks in these bins, as in channel 1: [T, B, F] -> [T, B, F]

    Where a parabola through powers of three amplitudes is highest (Werner and Germain 2016, "Sinusoidal parameter
    estimation using quadratic interpolation around power-scaled magnitude spectrum peaks"). What it says of a bin
    that is no peak means nothing.
    """
    level = functional.pad(amplitude.clamp(min=0) ** POWER, (1, 1), mode="reflect")
    below, here, above = level[..., :-2], level[..., 1:-1], level[..., 2:]
    bins = (above - below) / (2 * (2 * here - above - below)).clamp(min=LEAST)
    return 2 * hop / n_fft * bins.clamp(-0.5, 0.5)


def peaks(amplitude: Tensor) -> Tensor:
    """The peak of each bin's region: where one gets by climbing from bin to louder bin  [..., F]"""
    bins = amplitude.shape[-1]
    below = functional.pad(amplitude, (1, 0))[..., :-1]
    above = functional.pad(amplitude, (0, 1))[..., 1:]
    down = (below >= amplitude) & (below >= above)
    step = (above > torch.maximum(below, amplitude)).long() - down.long()
    peak = (torch.arange(bins, device=amplitude.device) + step).clamp(0, bins - 1)
    while not torch.equal(peak, further := peak.gather(-1, peak)):  # each time twice as far
        peak = further
    return peak


def leaders(amplitude: Tensor) -> Tensor:
    """Which bin each bin follows: its region's peak, or where that is new, the loudest  [T, B, F]

    In the first frame all are new, as before it there is nothing.
    """
    peak, loudest_bin = peaks(amplitude), amplitude.argmax(dim=-1, keepdim=True)
    new = functional.pad(amplitude, (0, 0, 0, 0, 1, 0))[:-1] < NEW * amplitude
    return torch.where(new.gather(-1, peak), loudest_bin, peak)


def locked_phase(representation: Representation, amplitude: Tensor, frequency: Tensor) -> Tensor:
    """Phases in which the bins around a peak keep to it: [B, F, T] and [B, F, T] -> [B, F, T]

    A peak's phase advances by its own frequency (Laroche and Dolson 1999, "Improved phase vocoder time-scale
    modification of audio"), half-way between the one that is given and the one that the amplitudes tell. From there to
    the other bins of its region leads the slope over frequency, which the group delay is. Where a peak sets in it has
    no phase to go on from: the slope leads to it from the frame's loudest bin, so that what sets in together stays
    together.
    """
    # frame after frame, and in each bin beside bin: [T, B, F] until the end
    amplitude, frequency = (part.movedim(-1, 0).contiguous() for part in (amplitude, frequency))
    n_fft, leader = representation.n_fft, leaders(amplitude)
    # of a bin's phase over the one below: half a turn for what is at the frame's centre
    slope = -1 - 2 / n_fft * group_delay(amplitude, n_fft, representation.hop)
    across = functional.pad((slope[..., 1:] + slope[..., :-1]) / 2, (1, 0)).cumsum(dim=-1)
    # from each bin's leader to the bin
    path = wrap(across - across.gather(-1, leader))
    told = partials(amplitude[1:], n_fft, representation.hop)
    agreed = told + wrap(frequency[1:] - told) / 2
    steps = torch.cat([frequency[:1], agreed + representation.advance.squeeze(-1)])
    phase, phases = torch.zeros_like(steps[0]), []
    for step, leading, way in zip(steps, leader, path, strict=True):
        phase = (phase + step).gather(-1, leading) + way  # [B, F]
        phases.append(phase)
    return wrap(torch.stack(phases, dim=-1))
