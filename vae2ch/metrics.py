"""What a run is judged by: pure functions on sound and latents, in the units of the literature."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

ACTIVE = 0.01  # variance of a latent's mean over the data above which it carries something
QUARTER_TONE = 0.5  # in semitones; within these 50 cents the nearest key of a piano is the right one


class Pitch(NamedTuple):
    """The pitch of a sound, in semitones (MIDI numbers).

    Attributes:
        track: frame by frame, one every 10 ms  [N]
        heard: the frames in which there is one  [N]
        note: of the whole, the median of these; NaN where there are none
    """

    track: Tensor
    heard: Tensor
    note: float


def snr(original: Tensor, estimate: Tensor) -> Tensor:
    """Signal-to-noise ratio in dB over the last axis; infinite where both are equal."""
    noise = (original.double() - estimate.double()).square().sum(dim=-1)
    signal = original.double().square().sum(dim=-1)
    return torch.where(noise == 0, math.inf, 10 * torch.log10(signal / noise))


def log_spectral_distance(original: Tensor, estimate: Tensor, floor: float = 80.0) -> Tensor:
    """Log-spectral distance in dB of one or more sounds [B, S]: RMS over bins, mean over frames  [B]

    Magnitudes (Hann 1024 / 256) are floored ``floor`` dB below the original's peak.
    """
    window = torch.hann_window(1024, device=original.device)

    def magnitudes(wave: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(wave.float(), (0, max(0, 1024 - wave.shape[-1])))
        return torch.stft(padded, 1024, 256, window=window, pad_mode="constant", return_complex=True).abs()

    true, other = magnitudes(original), magnitudes(estimate)  # [B, F, T]
    lowest = true.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-9) * 10 ** (-floor / 20)
    difference = 20 * torch.log10(torch.maximum(other, lowest) / torch.maximum(true, lowest))
    return difference.square().mean(dim=-2).sqrt().mean(dim=-1)


def active_units(means: Tensor) -> Tensor:
    """How many latents vary with the input: variance of the mean over the data [N, D] above 0.01.

    Burda et al. (2016), "Importance weighted autoencoders", section 5.2.
    """
    return (means.var(dim=0, correction=0) > ACTIVE).sum()


def multi_resolution_stft(original: Tensor, estimate: Tensor) -> Tensor:
    """Multi-resolution STFT distance of one sound [S] from another, auraloss's defaults.

    Yamamoto et al. (2020), "Parallel WaveGAN"; Steinmetz and Reiss (2020), "auraloss". One sound
    at a time: a batch's spectral convergence is not the mean of its members'.
    """
    from auraloss.freq import MultiResolutionSTFTLoss

    short = max(0, 2048 - original.shape[-1])  # its longest window
    pair = (torch.nn.functional.pad(wave.float(), (0, short))[None, None] for wave in (estimate, original))
    return MultiResolutionSTFTLoss()(*pair)


def pitch(wave: Tensor, sample_rate: int) -> Pitch:
    """Pitch of a sound [S], in the frames of which PESTO (Riou et al. 2023) is more than half sure."""
    import pesto

    # its longest filters need some length: a shorter sound is followed by silence, which has no pitch
    wave = torch.nn.functional.pad(wave.float().cpu(), (0, max(0, sample_rate - wave.shape[-1])))
    _, semitones, confidence, _ = pesto.predict(wave[None], sample_rate, convert_to_freq=False)
    track, heard = semitones.flatten(), confidence.flatten() > 0.5
    return Pitch(track, heard, float(track[heard].median()) if heard.any() else math.nan)


def pitch_kept(original: Pitch, estimate: Pitch) -> float:
    """Share of the frames with a pitch in which the estimate, as long as the original, has it within 50 cents.

    Raw pitch accuracy (Poliner et al. 2007, "Melody transcription from music audio"), but that a pitch that is not
    heard in the estimate counts as wrong.
    """
    kept = estimate.heard & ((estimate.track - original.track).abs() < QUARTER_TONE)
    return float(kept[original.heard].float().mean())
