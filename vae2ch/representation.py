"""Waveform to two channels and back: log magnitude and instantaneous frequency.

With X[k, t] the short-time Fourier transform (Hann window, hop H, N-point), A its magnitude for a sine
at full scale, and L the level of the segment:

    log magnitude            m[k, t] = log1p(gain * |X[k, t]| / (A * L)) / LOG_SCALE
    instantaneous frequency  f[k, t] = princarg(phi[k, t] - phi[k, t-1] - 2 pi k H / N) / pi
    level                    L       = max |X| / A, at least MIN_LEVEL

f is the phase advance per hop relative to the centre of the bin, in half-turns. The first frame holds the phase
itself, so that nothing is lost: the inverse sums f over time and transforms back.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae2ch.config import RepresentationConfig

# Phases are rounded to 2^-21 half-turns, an error 128 dB below the signal. Differences of multiples of this step
# are exact in float32, and their running sum in float64: phases do not drift, however long the sound.
PHASE_STEPS_PER_HALF_TURN = 2.0**21
# log1p(gain) is 9.2 at a gain of 1e4; divided by 2, typical values of channel 0 are near 0.5.
LOG_SCALE = 2.0
MIN_LEVEL = 1e-4  # -80 dB re full scale; quieter segments are not amplified further


def compress(amplitude: Tensor) -> Tensor:
    """Log magnitude of an amplitude that is relative to the knee of the logarithm, same shape."""
    return torch.log1p(amplitude) / LOG_SCALE


def expand(log_magnitude: Tensor) -> Tensor:
    """Amplitude relative to the knee of the logarithm; the inverse of ``compress``, same shape."""
    return torch.expm1(LOG_SCALE * log_magnitude)


class Size(NamedTuple):
    """Frequency bins and time frames of a spectrogram."""

    bins: int
    frames: int


class Analysis(NamedTuple):
    """Result of ``Representation.forward``."""

    spectrogram: Tensor  # both channels, divided by the level  [B, 2, F, T]
    level: Tensor  # amplitude re full scale that was divided out  [B]


class Representation(nn.Module):
    """An invertible transform between waveforms and two-channel spectrograms.

    Axes: B batch, S samples, F frequency bins (n_fft // 2 + 1), T frames.

    An ``n_fft`` of 1022 gives exactly 512 bins; with a hop of about n_fft / 4 the frequency does not wrap within the
    main lobe of a sine. Raises ``ValueError`` if ``n_fft`` is odd or the hop larger than half of it.
    """

    def __init__(self, config: RepresentationConfig) -> None:
        super().__init__()
        n_fft, hop = config.n_fft, config.hop
        if n_fft % 2 or not 0 < hop <= n_fft // 2:
            raise ValueError(
                f"representation.n_fft must be even and representation.hop at most half of it: found {n_fft} and {hop}"
            )
        self.sample_rate, self.n_fft, self.hop, self.gain = config.sample_rate, n_fft, hop, config.gain
        self.size = Size(n_fft // 2 + 1, config.frames)
        self.segment = (config.frames - 1) * hop  # samples
        window = torch.hann_window(n_fft)
        advance = torch.arange(self.size.bins, dtype=torch.float64) * 2 * hop / n_fft
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("centre_advance", round_phase(wrap(advance)).float()[:, None], persistent=False)
        self.full_scale = float(window.double().sum()) / 2  # STFT magnitude of a sine with amplitude 1
        self.knee = self.full_scale / config.gain  # STFT magnitude at the knee of the logarithm

    def forward(self, wave: Tensor, peak_gain: Tensor | None = None) -> Analysis:
        """Analyse ``wave`` [B, S], any S >= 1; T is 1 + ceil(S / hop), at least 2, as the last hop is zero-padded.

        ``peak_gain`` [B] is the amplitude that the loudest bin gets, re full scale, instead of 1.
        """
        with torch.autocast(wave.device.type, enabled=False):
            hops = max(1, math.ceil(wave.shape[-1] / self.hop))
            spectrum = self.stft(nn.functional.pad(wave.float(), (0, hops * self.hop - wave.shape[-1])))
            amplitude = spectrum.abs() / self.full_scale  # [B, F, T]
            level = amplitude.amax(dim=(-2, -1)).clamp(min=MIN_LEVEL)
            level = level if peak_gain is None else level / peak_gain
            log_magnitude = compress(amplitude * (self.gain / level)[:, None, None])
            frequency = self.differentiate(spectrum.angle() / math.pi)
            return Analysis(torch.stack([log_magnitude, frequency], dim=1), level)

    def inverse(self, spectrogram: Tensor, level: Tensor, samples: int | None = None) -> Tensor:
        """Waveform of an ``Analysis`` [B, 2, F, T], [B] as [B, S]; S is ``samples`` or (T - 1) * hop."""
        with torch.autocast(spectrogram.device.type, enabled=False):
            log_magnitude, frequency = spectrogram.float().unbind(dim=1)  # [B, F, T] each
            phase = math.pi * self.integrate(frequency)
            wave = self.istft(torch.polar(self.magnitude(log_magnitude), phase))
            return (level[:, None] * wave)[..., :samples]

    def stft(self, wave: Tensor) -> Tensor:
        """Short-time Fourier transform of [B, S], S a multiple of the hop, zero-padded at both ends  [B, F, T]"""
        return torch.stft(wave, self.n_fft, self.hop, window=self.window, pad_mode="constant", return_complex=True)

    def istft(self, spectrum: Tensor) -> Tensor:
        """Least-squares inverse of ``stft``: [B, F, T] -> [B, S], S = (T - 1) * hop"""
        length = (spectrum.shape[-1] - 1) * self.hop
        return torch.istft(spectrum, self.n_fft, self.hop, window=self.window, length=length)

    def magnitude(self, log_magnitude: Tensor) -> Tensor:
        """STFT magnitude of channel 0, for a level of 1; same shape."""
        return expand(log_magnitude) * self.knee

    def differentiate(self, phase: Tensor) -> Tensor:
        """Instantaneous frequency in [-1, 1] of phases in half-turns [B, F, T], same shape."""
        phase = round_phase(phase)
        steps = wrap(torch.diff(phase, dim=-1) - self.centre_advance)
        return torch.cat([phase[..., :1], steps], dim=-1)

    def integrate(self, frequency: Tensor) -> Tensor:
        """Phase in half-turns, wrapped to [-1, 1]; the inverse of ``differentiate``, same shape."""
        # float64, as the sum grows with the number of frames; Apple's GPUs have none
        precise = torch.float32 if frequency.device.type == "mps" else torch.float64
        first, steps = frequency.to(precise).split([1, frequency.shape[-1] - 1], dim=-1)
        phase = torch.cat([first, steps + self.centre_advance.to(precise)], dim=-1).cumsum(dim=-1)
        return wrap(phase).float()


def wrap(half_turns: Tensor) -> Tensor:
    """Principal value in [-1, 1] of angles in half-turns."""
    return half_turns - 2 * torch.round(half_turns.detach() / 2)


def round_phase(half_turns: Tensor) -> Tensor:
    """Angles rounded to multiples of the phase step; the gradient is that of the identity."""
    rounded = torch.round(half_turns * PHASE_STEPS_PER_HALF_TURN) / PHASE_STEPS_PER_HALF_TURN
    return half_turns + (rounded - half_turns).detach()
