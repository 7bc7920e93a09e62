"""Sound of the spectrograms that a model makes, whose frequencies do not quite agree with each other.

``Representation.inverse`` sums channel 1 over time, bin by bin. That is exact for what was analysed,
but a net's small errors add up, and the bins of one partial drift apart and cancel. Here they get the
phases of ``locking``, and some iterations smooth what is left.

Axes: B batch, F frequency bins, T time frames, S samples. Phases are in half-turns.
"""

import math

import torch
from torch import Tensor

from vae2ch.locking import locked_phase
from vae2ch.representation import Representation

ITERATIONS = 3  # of Griffin and Lim; more are hardly heard
OVERSHOOT = 0.5  # of an iteration, as a share of the way to the amplitudes
GLANCE = 8  # frames by which it is told whether phases are exact
TOLERANCE = 0.01  # of their energy's root: rounding is far below, and a net's output far above


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
