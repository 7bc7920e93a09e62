"""Waveform of a decoded spectrogram: phase locking, STFT consistency, Griffin-Lim.

``Representation.inverse`` sums channel 1 over time, bin by bin, which is exact for an analysed sound. The errors of a
decoder accumulate in the sum, so that the bins of one partial drift apart and cancel. Here the bins around a spectral
peak are locked to its phase, and Griffin-Lim iterations reduce the remaining inconsistency.

Axes: B batch, F frequency bins, T time frames, S samples. Phases are in half-turns, frequencies in half-turns per
hop relative to the bin's centre, as in channel 1.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from vae2ch.representation import Representation, wrap

ITERATIONS = 12  # of Griffin-Lim after phase locking
MOMENTUM = 0.99  # of these iterations
CONSISTENCY_FRAMES = 8  # loudest frames in which consistency is tested
CONSISTENCY_TOLERANCE = 0.01  # relative error: rounding is far below, a decoder's output far above
ONSET_RATIO = 0.25  # a peak is an onset if its bin had less than this fraction of its magnitude a frame before
LOBE_EXPONENT = 0.23  # of the magnitude, with which the main lobe of a Hann window is nearly a parabola
EPSILON = 1e-12  # lower bound of divisors


def group_delay(magnitude: Tensor, n_fft: int, hop: int) -> Tensor:
    """Group delay of each bin relative to the centre of its frame, in samples: [T, B, F] -> [T, B, F]

    The magnitude of a click d samples after the centre is proportional to cos^2(pi d / N) under a Hann window of N
    samples. The square roots of three successive frames are samples of one cosine, whose phase is estimated:
    cos(a - h) - cos(a + h) = 2 sin(a) sin(h). Exact up to N / 2 - hop samples from the centre; further away it
    underestimates the distance by up to an eighth.
    """
    root, step = magnitude.clamp(min=EPSILON).sqrt(), math.pi * hop / n_fft
    ends = 2 * math.cos(step) * root[[0, -1]] - root[[1, -2]]  # the cosine extended by a frame at both ends
    extended = torch.cat([ends[:1], root, ends[1:]])
    return n_fft / math.pi * torch.atan((extended[2:] - extended[:-2]) / (2 * math.sin(step) * root))


def peak_frequencies(magnitude: Tensor, n_fft: int, hop: int) -> Tensor:
    """Frequency of a partial whose peak is in this bin, as in channel 1: [T, B, F] -> [T, B, F]

    The vertex of a parabola through three power-scaled magnitudes (Werner and Germain 2016, "Sinusoidal parameter
    estimation using quadratic interpolation ..."). The result is meaningless in a bin that is not a peak.
    """
    scaled = functional.pad(magnitude.clamp(min=0) ** LOBE_EXPONENT, (1, 1), mode="reflect")
    below, here, above = scaled[..., :-2], scaled[..., 1:-1], scaled[..., 2:]
    bins = (above - below) / (2 * (2 * here - above - below)).clamp(min=EPSILON)
    return 2 * hop / n_fft * bins.clamp(-0.5, 0.5)


def region_peaks(magnitude: Tensor) -> Tensor:
    """Bin of the spectral peak whose region a bin belongs to: the local maximum reached by going uphill  [..., F]"""
    bins = magnitude.shape[-1]
    below = functional.pad(magnitude, (1, 0))[..., :-1]
    above = functional.pad(magnitude, (0, 1))[..., 1:]
    down = (below >= magnitude) & (below >= above)
    step = (above > torch.maximum(below, magnitude)).long() - down.long()
    peak = (torch.arange(bins, device=magnitude.device) + step).clamp(0, bins - 1)
    while not torch.equal(peak, further := peak.gather(-1, peak)):  # doubles the distance each time
        peak = further
    return peak


def reference_bins(magnitude: Tensor) -> Tensor:
    """Bin whose phase each bin is locked to: the peak of its region, or at an onset the loudest bin  [T, B, F]"""
    peak, loudest_bin = region_peaks(magnitude), magnitude.argmax(dim=-1, keepdim=True)
    # in the first frame all peaks are onsets
    onset = functional.pad(magnitude, (0, 0, 0, 0, 1, 0))[:-1] < ONSET_RATIO * magnitude
    return torch.where(onset.gather(-1, peak), loudest_bin, peak)


def lock_phases(representation: Representation, magnitude: Tensor, frequency: Tensor) -> Tensor:
    """Phases in which the bins around a peak are locked to it: [B, F, T] and [B, F, T] -> [B, F, T]

    A peak's phase advances by its frequency (Laroche and Dolson 1999, "Improved phase vocoder time-scale
    modification of audio"), the mean of the decoded and the estimated one. The phase differences to the other bins
    of its region follow from the group delay. A peak at an onset has no phase to continue: it is locked to the
    loudest bin of the frame, so that partials with a common onset stay aligned.
    """
    # time first, bins innermost: [T, B, F] until the end
    magnitude, frequency = (part.movedim(-1, 0).contiguous() for part in (magnitude, frequency))
    n_fft, reference = representation.n_fft, reference_bins(magnitude)
    # phase difference between neighbouring bins; half a turn for energy at the centre of the frame
    slope = -1 - 2 / n_fft * group_delay(magnitude, n_fft, representation.hop)
    across = functional.pad((slope[..., 1:] + slope[..., :-1]) / 2, (1, 0)).cumsum(dim=-1)
    offset = wrap(across - across.gather(-1, reference))
    estimated = peak_frequencies(magnitude[1:], n_fft, representation.hop)
    mean = estimated + wrap(frequency[1:] - estimated) / 2  # along the shorter arc
    steps = torch.cat([frequency[:1], mean + representation.centre_advance.squeeze(-1)])
    phase, phases = torch.zeros_like(steps[0]), []
    for frame_step, frame_reference, frame_offset in zip(steps, reference, offset, strict=True):
        phase = (phase + frame_step).gather(-1, frame_reference) + frame_offset  # [B, F]
        phases.append(phase)
    return wrap(torch.stack(phases, dim=-1))


def loudest_frames(magnitude: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """Indices of the loudest ``CONSISTENCY_FRAMES`` successive frames, with a margin on each side: [B, F, T] -> [B, N]

    The second result tells which of them overlap no frame outside  [B, N].
    """
    total = magnitude.shape[-1]
    frames = min(total, CONSISTENCY_FRAMES + 2 * margin)
    energy = magnitude.square().sum(dim=1)  # [B, T]
    first = energy.unfold(1, min(total, CONSISTENCY_FRAMES), 1).sum(dim=2).argmax(dim=1)
    start = (first - margin).clamp(0, total - frames)[:, None]
    offset = torch.arange(frames, device=magnitude.device)
    complete_before = (start == 0) | (offset >= margin)
    complete_after = (start == total - frames) | (offset < frames - margin)
    return start + offset, complete_before & complete_after


def is_consistent(representation: Representation, magnitude: Tensor, phase: Tensor) -> Tensor:
    """Whether magnitudes and phases [B, F, T] are the STFT of some waveform, tested in the loudest frames  [B]"""
    chosen, complete = loudest_frames(magnitude, math.ceil(representation.n_fft / 2 / representation.hop))
    chosen = chosen[:, None].expand(-1, magnitude.shape[1], -1)
    magnitude, phase = magnitude.gather(2, chosen), phase.gather(2, chosen)
    spectrum = torch.polar(magnitude, math.pi * phase)
    error = (representation.stft(representation.istft(spectrum)) - spectrum) * complete[:, None]
    norm = torch.linalg.vector_norm(magnitude * complete[:, None], dim=(-2, -1))
    return torch.linalg.vector_norm(error, dim=(-2, -1)) <= CONSISTENCY_TOLERANCE * norm


def impose_magnitude(spectrum: Tensor, magnitude: Tensor) -> Tensor:
    """A spectrum with other magnitudes, and the phases that it has; same shape."""
    return spectrum * (magnitude / spectrum.abs().clamp(min=1e-20))


def griffin_lim(
    representation: Representation,
    magnitude: Tensor,
    phase: Tensor,
    *,
    iterations: int = ITERATIONS,
    momentum: float = MOMENTUM,
) -> Tensor:
    """Waveform of magnitudes and initial phases [B, F, T], after some iterations  [B, S]

    Griffin and Lim (1984); with momentum, Perraudin et al. (2013), "A fast Griffin-Lim algorithm". Unlike torchaudio's,
    it takes the sound to be silent beyond its ends, as the representation does.
    """
    spectrum = torch.polar(magnitude, math.pi * phase)
    previous = torch.zeros_like(spectrum) if momentum else None
    for _ in range(iterations):
        rebuilt = representation.stft(representation.istft(spectrum))
        target = rebuilt if previous is None else rebuilt - momentum / (1 + momentum) * previous
        previous = rebuilt if momentum else None
        spectrum = impose_magnitude(target, magnitude)
    return representation.istft(spectrum)


def synthesise(representation: Representation, spectrogram: Tensor, level: Tensor) -> Tensor:
    """Waveform of decoded spectrograms [B, 2, F, T] with levels [B]; exact if consistent  [B, S]

    Phases of a consistent one are summed. Those of others are locked, and refined by Griffin-Lim iterations.
    """
    with torch.autocast(spectrogram.device.type, enabled=False):
        log_magnitude, frequency = spectrogram.float().unbind(dim=1)
        magnitude = representation.magnitude(log_magnitude)
        summed, locked = representation.integrate(frequency), lock_phases(representation, magnitude, frequency)
        consistent = is_consistent(representation, magnitude, summed)[:, None]
        exact = griffin_lim(representation, magnitude, summed, iterations=0)
        return level[:, None] * torch.where(consistent, exact, griffin_lim(representation, magnitude, locked))
