"""Sound of the spectrograms that a model makes, whose frequencies do not quite agree with each other.

``Representation.inverse`` sums channel 1 over time, bin by bin. That is exact for what was analysed,
but a net's small errors add up, and the bins of one partial drift apart and cancel. Here a bin that is
a peak leads, and those around it follow.

Axes: B batch, F frequency bins, T time frames, S samples. Phases are in half-turns.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from vae2ch.representation import Representation, wrap

ITERATIONS = 4  # of Griffin and Lim; more are hardly heard
OVERSHOOT = 0.5  # of an iteration, as a share of the way to the amplitudes
GLANCE = 8  # frames by which it is told whether phases are exact
TOLERANCE = 0.01  # of their energy's root: rounding is far below, and a net's output far above
NEW = 0.25  # of its amplitude a bin had a frame before, at most, where a sound sets in


def group_delay(amplitude: Tensor, n_fft: int, hop: int) -> Tensor:
    """How long after its frame's centre the energy of a bin is, in samples: [T, B, F] -> [T, B, F]

    A click d samples after the centre comes through a Hann window of N samples as cos^2(pi d / N). The roots of three
    frames in a row are thus samples of one cosine, whose phase is sought: cos(a - h) - cos(a + h) = 2 sin(a) sin(h).
    """
    root, step = amplitude.clamp(min=1e-12).sqrt(), math.pi * hop / n_fft
    ends = 2 * math.cos(step) * root[[0, -1]] - root[[1, -2]]  # beyond the first and last frame the cosine goes on
    around = torch.cat([ends[:1], root, ends[1:]])
    return n_fft / math.pi * torch.atan((around[2:] - around[:-2]) / (2 * math.sin(step) * root))


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
    """Which bin each bin follows: its region's peak, or where that is new, the loudest  [T, B, F]"""
    peak, loudest_bin = peaks(amplitude), amplitude.argmax(dim=-1, keepdim=True)
    new = functional.pad(amplitude, (0, 0, 0, 0, 1, 0))[:-1] < NEW * amplitude
    return torch.where(new.gather(-1, peak), loudest_bin, peak)


def locked_phase(representation: Representation, amplitude: Tensor, frequency: Tensor) -> Tensor:
    """Phases in which the bins around a peak keep to it: [B, F, T] and [B, F, T] -> [B, F, T]

    A peak's phase advances by its own frequency (Laroche and Dolson 1999, "Improved phase vocoder
    time-scale modification of audio"); from there to the other bins of its region leads the slope
    over frequency, which the group delay is. Where a peak sets in it has no phase to go on from: the slope
    leads to it from the frame's loudest bin, so that what sets in together stays together.
    """
    # frame after frame, and in each bin beside bin: [T, B, F] until the end
    amplitude, frequency = (part.movedim(-1, 0).contiguous() for part in (amplitude, frequency))
    n_fft, leader = representation.n_fft, leaders(amplitude)
    # of a bin's phase over the one below: half a turn for what is at the frame's centre
    slope = -1 - 2 / n_fft * group_delay(amplitude, n_fft, representation.hop)
    across = functional.pad((slope[..., 1:] + slope[..., :-1]) / 2, (1, 0)).cumsum(dim=-1)
    # from each bin's leader to the bin
    path = wrap(across - across.gather(-1, leader))
    steps = torch.cat([frequency[:1], frequency[1:] + representation.advance.squeeze(-1)])
    phase, phases = torch.zeros_like(steps[0]), []
    for step, leading, way in zip(steps, leader, path, strict=True):
        phase = (phase + step).gather(-1, leading) + way  # [B, F]
        phases.append(phase)
    return wrap(torch.stack(phases, dim=-1))


def loudest(amplitude: Tensor, edge: int) -> tuple[Tensor, Tensor]:
    """The ``GLANCE`` loudest frames in a row of [B, F, T], with up to ``edge`` more on both sides.

    Returns:
        their numbers; whether they are whole frames of the sound that these make, as nothing that they hear was cut
        off [B, N] each
    """
    total = amplitude.shape[-1]
    frames = min(total, GLANCE + 2 * edge)
    energy = amplitude.square().sum(dim=1)  # [B, T]
    first = energy.unfold(1, min(total, GLANCE), 1).sum(dim=2).argmax(dim=1)
    start = (first - edge).clamp(0, total - frames)[:, None]
    offset = torch.arange(frames, device=amplitude.device)
    whole_before, whole_after = (start == 0) | (offset >= edge), (start == total - frames) | (offset < frames - edge)
    return start + offset, whole_before & whole_after


def exact(representation: Representation, amplitude: Tensor, phase: Tensor) -> Tensor:
    """Whether a sound has these amplitudes and phases [B, F, T], by its loudest frames: one bool each  [B]"""
    chosen, whole = loudest(amplitude, edge=math.ceil(representation.n_fft / 2 / representation.hop))
    chosen = chosen[:, None].expand(-1, amplitude.shape[1], -1)
    amplitude, phase = amplitude.gather(2, chosen), phase.gather(2, chosen)
    spectrum = torch.polar(amplitude, math.pi * phase)
    away = (representation.spectrum(representation.synthesise(spectrum)) - spectrum) * whole[:, None]
    size = torch.linalg.vector_norm(amplitude * whole[:, None], dim=(-2, -1))
    return torch.linalg.vector_norm(away, dim=(-2, -1)) <= TOLERANCE * size


def nearer(spectrum: Tensor, amplitude: Tensor, overshoot: float = OVERSHOOT) -> Tensor:
    """A spectrum [B, F, T] with other amplitudes [B, F, T], and somewhat more: as far over as it was below.

    Overshooting makes few iterations go further (relaxed projections; Peer et al. 2022, "Beyond Griffin-Lim:
    improved iterative phase retrieval for speech").
    """
    size = spectrum.abs()
    return spectrum * ((amplitude + overshoot * (amplitude - size)) / size.clamp(min=1e-20))


def iterate(
    representation: Representation,
    amplitude: Tensor,
    phase: Tensor,
    iterations: int = ITERATIONS,
    overshoot: float = OVERSHOOT,
) -> Tensor:
    """Sound of amplitudes and phases [B, F, T], after some iterations  [B, S]

    In each, bins take the phase that their neighbours agree on (Griffin and Lim 1984).
    """
    wave = representation.synthesise(torch.polar(amplitude, math.pi * phase))
    for _ in range(iterations):
        wave = representation.synthesise(nearer(representation.spectrum(wave), amplitude, overshoot))
    return wave


def synthesise(representation: Representation, spectrogram: Tensor) -> Tensor:
    """Sound of spectrograms that a model made [B, 2, F, T]; exact where they are exact  [B, S]

    A sound whose summed phases are a sound's keeps them, every other gets the locked ones; some iterations follow.
    """
    with torch.autocast(spectrogram.device.type, enabled=False):
        magnitude, frequency = spectrogram.float().unbind(dim=1)
        amplitude = representation.amplitude(magnitude)
        summed, locked = representation.integrate(frequency), locked_phase(representation, amplitude, frequency)
        phase = torch.where(exact(representation, amplitude, summed)[:, None, None], summed, locked)
        return iterate(representation, amplitude, phase)
