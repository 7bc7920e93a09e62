"""Waveform to two channels and back: log magnitude and instantaneous frequency.

With X[k, t] the short-time Fourier transform (Hann window, hop H, N-point):

    magnitude   m[k, t] = log1p(gain * |X[k, t]| / A) / SCALE          A: a full-scale sine's |X|
    frequency   f[k, t] = princarg(phi[k, t] - phi[k, t-1] - 2 pi k H / N) / pi

f is the phase advance per hop, as deviation from the bin's centre, in half-turns: a steady sine
on a bin's centre gives 0, one a bin higher 2H/N. The first frame carries the phase itself, so
that nothing is lost: the inverse sums f over time and transforms back.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Phases are rounded to 2^-21 half-turns (3e-6 rad, an error 128 dB below the signal). On that
# grid a difference of two phases is exact in float32, so integrating never drifts, however long
# the sound.
PHASE_GRID = 2.0**21
# log1p(gain * |X|) reaches 9.2 for a full-scale sine at a gain of 1e4; the net sees about a half.
SCALE = 2.0
QUIETEST = 1e-4  # -80 dB: what is below is not brought up


class Size(NamedTuple):
    """Frequency bins and time frames of a spectrogram."""

    bins: int
    frames: int


class Representation(nn.Module):
    """An invertible transform between sound and two-channel spectrograms.

    Axes: B batch, S samples, F frequency bins (n_fft // 2 + 1), T frames.

    Args:
        sample_rate: Hz
        n_fft: samples per window; even. 1022 gives exactly 512 bins, with nothing dropped.
        hop: samples between frames; at about n_fft / 4 a sine's main lobe fits in [-1, 1]
        frames: frames of one segment, what the model sees at once
        gain: how far the logarithm reaches down; 1e4 keeps 80 dB
    """

    window: Tensor
    advance: Tensor

    def __init__(self, *, sample_rate: int, n_fft: int, hop: int, frames: int, gain: float) -> None:
        super().__init__()
        if n_fft % 2 or not 0 < hop <= n_fft // 2:
            raise ValueError(f"n_fft must be even and hop at most n_fft / 2: found {n_fft} and {hop}")
        if frames < 2:
            raise ValueError(f"frames must be at least 2: found {frames}")
        self.sample_rate, self.n_fft, self.hop, self.gain = sample_rate, n_fft, hop, gain
        self.size = Size(n_fft // 2 + 1, frames)
        self.segment = (frames - 1) * hop
        window = torch.hann_window(n_fft)
        centre = torch.arange(self.size.bins, dtype=torch.float64) * 2 * hop / n_fft
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("advance", on_grid(wrap(centre)).float()[:, None], persistent=False)
        self.full_scale = float(window.double().sum()) / 2

    def frames_of(self, samples: int) -> int:
        """Frames that ``samples`` samples become: the last hop is filled up with zeros."""
        return 1 + max(1, math.ceil(samples / self.hop))

    def forward(self, wave: Tensor) -> Tensor:
        """Analyse ``wave`` [B, S], any S >= 1, into [B, 2, F, T] with T = ``frames_of(S)``."""
        with torch.autocast(wave.device.type, enabled=False):
            whole = (self.frames_of(wave.shape[-1]) - 1) * self.hop
            wave = nn.functional.pad(wave.float(), (0, whole - wave.shape[-1]))
            spectrum = self.spectrum(wave)  # [B, F, T]
            magnitude = self.magnitude(spectrum.abs())
            return torch.stack([magnitude, self.differentiate(spectrum.angle() / math.pi)], dim=1)

    def inverse(self, spectrogram: Tensor, samples: int | None = None) -> Tensor:
        """Sound of ``spectrogram`` [B, 2, F, T] as [B, S]; S is ``samples`` or (T - 1) * hop."""
        with torch.autocast(spectrogram.device.type, enabled=False):
            magnitude, frequency = spectrogram.float().unbind(dim=1)  # [B, F, T] each
            phase = math.pi * self.integrate(frequency)
            return self.synthesise(torch.polar(self.amplitude(magnitude), phase))[..., :samples]

    def spectrum(self, wave: Tensor) -> Tensor:
        """Short-time Fourier transform of [B, S], a multiple of the hop  [B, F, T]"""
        return torch.stft(wave, self.n_fft, self.hop, window=self.window, pad_mode="constant", return_complex=True)

    def synthesise(self, spectrum: Tensor) -> Tensor:
        """The wave whose spectrum is nearest to [B, F, T]: its inverse transform  [B, S]"""
        whole = (spectrum.shape[-1] - 1) * self.hop
        return torch.istft(spectrum, self.n_fft, self.hop, window=self.window, length=whole)

    def magnitude(self, amplitude: Tensor) -> Tensor:
        """Channel 0 of the absolute values of a short-time Fourier transform, same shape."""
        return torch.log1p(self.gain / self.full_scale * amplitude) / SCALE

    def amplitude(self, magnitude: Tensor) -> Tensor:
        """The mirror image of ``magnitude``."""
        return torch.expm1(SCALE * magnitude) * (self.full_scale / self.gain)

    def level(self, spectrogram: Tensor) -> Tensor:
        """Amplitude of the loudest bin of [B, 2, F, T], relative to full scale, at least ``QUIETEST``  [B]"""
        loudest = spectrogram[:, 0].float().amax(dim=(-2, -1))
        return (self.amplitude(loudest) / self.full_scale).clamp(min=QUIETEST)

    def scaled(self, spectrogram: Tensor, factor: Tensor) -> Tensor:
        """The spectrogram [B, 2, F, T] of the same sounds, each ``factor`` [B] times as loud."""
        magnitude, frequency = spectrogram.float().unbind(dim=1)
        louder = self.magnitude(factor[:, None, None] * self.amplitude(magnitude))
        return torch.stack([louder, frequency], dim=1)

    def levelled(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """The spectrogram [B, 2, F, T] with its loudest bin at full scale, same shape, and the level it had  [B]"""
        level = self.level(spectrogram)
        return self.scaled(spectrogram, 1 / level), level

    def differentiate(self, phase: Tensor) -> Tensor:
        """Phase in half-turns [B, F, T] to instantaneous frequency in [-1, 1], same shape."""
        phase = on_grid(phase)
        steps = wrap(torch.diff(phase, dim=-1) - self.advance)
        return torch.cat([phase[..., :1], steps], dim=-1)

    def integrate(self, frequency: Tensor) -> Tensor:
        """The mirror image of ``differentiate``: running sum over time, wrapped to [-1, 1]."""
        # float64, as the sum grows with the number of frames; Apple's GPUs have none
        precise = torch.float32 if frequency.device.type == "mps" else torch.float64
        first, steps = frequency.to(precise).split([1, frequency.shape[-1] - 1], dim=-1)
        phase = torch.cat([first, steps + self.advance.to(precise)], dim=-1).cumsum(dim=-1)
        return wrap(phase).float()


def wrap(half_turns: Tensor) -> Tensor:
    """Principal value of an angle in half-turns, in [-1, 1]."""
    return half_turns - 2 * torch.round(half_turns.detach() / 2)


def on_grid(half_turns: Tensor) -> Tensor:
    """Round to the phase grid; the gradient passes as if nothing were rounded."""
    return half_turns + (torch.round(half_turns * PHASE_GRID) / PHASE_GRID - half_turns).detach()
