"""Terms of the loss: of each segment, and of a batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from vae2ch import losses
from vae2ch.config import TrainingConfig
from vae2ch.model import Posterior


class SegmentTerms(NamedTuple):
    """Terms of the loss for each of some segments."""

    magnitude: Tensor  # [B]
    amplitude: Tensor  # [B]
    frequency: Tensor  # [B]
    kl: Tensor  # [B, D]


def segment_terms(predicted: Tensor, target: Tensor, posterior: Posterior) -> SegmentTerms:
    """Terms of spectrograms without their padding [B, 2, F, T] and a posterior over latents [B, D]."""
    amplitudes = losses.amplitude(predicted[:, 0]), losses.amplitude(target[:, 0])
    return SegmentTerms(
        losses.log_magnitude_error(predicted[:, 0], target[:, 0]),
        losses.squared_spectral_convergence(*amplitudes),
        losses.frequency_error(predicted[:, 1], target[:, 1], log_magnitude=target[:, 0]),
        losses.kl_divergence(*posterior),
    )


def batch_terms(
    segments: SegmentTerms, config: TrainingConfig, kl_weight: float, average_kl: Tensor | None = None
) -> dict[str, Tensor]:
    """The loss and its terms, scalars: means over the segments; the KL is summed over the latents.

    The loss is ``magnitude + amplitude_weight * amplitude + frequency_weight * frequency + kl_weight * KL``, with the
    KL above the free bits. ``average_kl`` [D] is that over the segments of all processes, by default of these.
    """
    magnitude, amplitude, frequency, kl = (term.mean(dim=0) for term in segments)
    weighted = config.amplitude_weight * amplitude + config.frequency_weight * frequency
    excess = losses.free_bits(kl, config.free_bits, kl if average_kl is None else average_kl)
    loss = magnitude + weighted + kl_weight * excess
    return {"loss": loss, "magnitude": magnitude, "amplitude": amplitude, "frequency": frequency, "kl": kl.sum()}


def joined(parts: list[SegmentTerms]) -> SegmentTerms:
    """Terms of the segments of several batches."""
    return SegmentTerms(*(torch.cat(terms) for terms in zip(*parts, strict=True)))
