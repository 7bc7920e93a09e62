"""Measures of reconstructions and latents: pure functions on waveforms and tensors."""

import math
from typing import NamedTuple

import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor
from torch.nn import functional

ACTIVE_VARIANCE = 0.01  # variance of a latent's posterior mean over the data, above which it is active
PITCH_TOLERANCE = 0.5  # semitones, 50 cents
VOICED_CONFIDENCE = 0.5  # of PESTO, above which a frame is voiced
STFT_SAMPLES, STFT_HOP = 1024, 256  # of the log-spectral distance
LONGEST_WINDOW = 2048  # samples, of auraloss's multi-resolution STFT distance


class Pitch(NamedTuple):
    """Estimated pitch of a sound, in semitones (MIDI numbers)."""

    track: Tensor  # in each frame of 10 ms  [N]
    voiced: Tensor  # whether the frame has a pitch  [N]
    median: float  # over the voiced frames; NaN if there are none


def snr(original: Tensor, estimate: Tensor) -> Tensor:
    """Signal-to-noise ratio in dB over the last axis; infinite if both are equal."""
    noise = (original.double() - estimate.double()).square().sum(dim=-1)
    signal = original.double().square().sum(dim=-1)
    return torch.where(noise == 0, math.inf, 10 * torch.log10(signal / noise))


def log_spectral_distance(original: Tensor, estimate: Tensor, floor_db: float = 80.0) -> Tensor:
    """Log-spectral distance in dB of sounds [B, S]: root mean square over bins, mean over frames  [B]

    Magnitudes (Hann window of 1024, hop of 256) are limited from below, ``floor_db`` below the original's peak.
    """
    window = torch.hann_window(STFT_SAMPLES, device=original.device)

    def magnitudes(wave: Tensor) -> Tensor:
        padded = functional.pad(wave.float(), (0, max(0, STFT_SAMPLES - wave.shape[-1])))
        options = {"window": window, "pad_mode": "constant", "return_complex": True}
        return torch.stft(padded, STFT_SAMPLES, STFT_HOP, **options).abs()

    true, other = magnitudes(original), magnitudes(estimate)  # [B, F, T]
    lowest = true.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-9) * 10 ** (-floor_db / 20)
    difference = 20 * torch.log10(torch.maximum(other, lowest) / torch.maximum(true, lowest))
    return difference.square().mean(dim=-2).sqrt().mean(dim=-1)


def multi_resolution_stft(original: Tensor, estimate: Tensor) -> Tensor:
    """Multi-resolution STFT distance of two sounds [S], with auraloss's defaults; a scalar.

    Yamamoto et al. (2020), "Parallel WaveGAN"; Steinmetz and Reiss (2020), "auraloss". One sound at a time, as
    the spectral convergence of a batch is not the mean of those of its sounds.
    """
    short = max(0, LONGEST_WINDOW - original.shape[-1])
    pair = (functional.pad(wave.float(), (0, short))[None, None] for wave in (estimate, original))
    return MultiResolutionSTFTLoss()(*pair)


def pitch(wave: Tensor, sample_rate: int) -> Pitch:
    """Pitch of a sound [S], estimated by PESTO (Riou et al. 2023)."""
    import pesto  # here, as it takes a second

    # at least a second, for PESTO's longest filters; the silence that is added has no pitch
    wave = functional.pad(wave.float().cpu(), (0, max(0, sample_rate - wave.shape[-1])))
    _, semitones, confidence, _ = pesto.predict(wave[None], sample_rate, convert_to_freq=False)
    track, voiced = semitones.flatten(), confidence.flatten() > VOICED_CONFIDENCE
    return Pitch(track, voiced, float(track[voiced].median()) if voiced.any() else math.nan)


def same_note(original: Pitch, estimate: Pitch) -> bool:
    """Whether the median pitches over the original's voiced frames differ by less than 50 cents."""
    return abs(float(estimate.track[original.voiced].median()) - original.median) < PITCH_TOLERANCE


def raw_pitch_accuracy(original: Pitch, estimate: Pitch) -> float:
    """Fraction of the original's voiced frames in which the estimate's pitch, voiced or not, is within 50 cents.

    Poliner et al. (2007), "Melody transcription from music audio".
    """
    correct = (estimate.track - original.track).abs() < PITCH_TOLERANCE
    return float(correct[original.voiced].float().mean())


def voicing_recall(original: Pitch, estimate: Pitch) -> float:
    """Fraction of the original's voiced frames in which the estimate is voiced, too (Poliner et al. 2007)."""
    return float(estimate.voiced[original.voiced].float().mean())


def score(original: Tensor, estimate: Tensor, sample_rate: int, original_pitch: Pitch) -> dict[str, float]:
    """All measures of an estimate [S] of a sound [S]; those of pitch, in [0, 1], only if the original has one."""
    scores = {
        "snr": float(snr(original, estimate)),
        "log_spectral_distance": float(log_spectral_distance(original[None], estimate[None])),
        "multi_resolution_stft": float(multi_resolution_stft(original, estimate)),
    }
    if not math.isnan(original_pitch.median):
        estimated = pitch(estimate, sample_rate)
        scores["note_accuracy"] = float(same_note(original_pitch, estimated))
        scores["raw_pitch_accuracy"] = raw_pitch_accuracy(original_pitch, estimated)
        scores["voicing_recall"] = voicing_recall(original_pitch, estimated)
    return scores


def active_units(means: Tensor) -> Tensor:
    """Number of latents whose posterior mean varies over the data [N, D] (Burda et al. 2016, section 5.2)."""
    return (means.var(dim=0, correction=0) > ACTIVE_VARIANCE).sum()
