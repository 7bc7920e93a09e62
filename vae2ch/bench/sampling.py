"""Distances of sampled sounds from training and held-out sounds.

Axes: N and M sounds, S samples, D latents, F frequency bins, T frames.
"""

import math

import torch
from torch import Tensor

from vae2ch.codec import BATCH, SoundCodec
from vae2ch.data.dataset import evenly_spaced
from vae2ch.representation import LOG_SCALE, compress, expand

SAMPLES = 400  # sampled sounds
FRAME, HOP, DECAY_DB = 512, 128, 20.0  # samples, samples, dB below the loudest frame
QUANTILES = 100
UNITS = {"level": "dB", "brightness": "octaves", "decay": "s"}


def decoded_decibels(codec: SoundCodec, latent: Tensor) -> Tensor:
    """Decoded log magnitudes of latents [N, D], the loudest bin at full scale, in dB above the knee  [N, F, T]"""
    amplitude = torch.cat([expand(codec.spectrogram(part)[:, 0]) for part in latent.split(BATCH)])
    loudest = amplitude.amax(dim=(1, 2), keepdim=True)  # varies with the gain of the augmentation
    return compress(amplitude * (codec.representation.gain / loudest)) * LOG_SCALE * 20 / math.log(10)


def nearest(sounds: Tensor, others: Tensor) -> Tensor:
    """Root mean square distance of each of [N, F, T] to the nearest of [M, F, T], itself left out  [N]"""
    distances = torch.cdist(sounds.flatten(1), others.flatten(1)) / sounds[0].numel() ** 0.5
    return (distances.fill_diagonal_(math.inf) if others is sounds else distances).amin(dim=1)


def traits(waves: Tensor, sample_rate: int) -> dict[str, Tensor]:
    """Level, brightness and decay of sounds [N, S]  [N] each

    ``level``: RMS of the loudest frame, in dB re full scale. ``brightness``: spectral centroid of the energy, in
    octaves above 1 Hz. ``decay``: seconds from the loudest frame to the last one less than ``DECAY_DB`` below it.
    """
    energy = waves.unfold(-1, FRAME, HOP).square().mean(dim=-1).clamp(min=1e-12)  # [N, T]
    loudest, peak = energy.max(dim=-1)
    audible = energy >= loudest[:, None] * 10 ** (-DECAY_DB / 10)
    last = (audible * torch.arange(energy.shape[-1])).amax(dim=-1)
    power = torch.fft.rfft(waves).abs().square()
    frequency = torch.fft.rfftfreq(waves.shape[-1], 1 / sample_rate)
    centroid = (power * frequency).sum(dim=-1) / power.sum(dim=-1).clamp(min=1e-12)
    decay = (last - peak) * HOP / sample_rate
    return {"level": 10 * loudest.log10(), "brightness": centroid.clamp(min=1).log2(), "decay": decay}


def wasserstein(values: Tensor, others: Tensor) -> float:
    """1-Wasserstein distance of two sets of values [N], [M], from their quantiles."""
    positions = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    # values of the sets themselves, as interpolated ones would fill the gaps between them
    one, other = (found.sort().values[(positions * len(found)).long()] for found in (values, others))
    return float((one - other).abs().mean())


def trait_distances(waves: Tensor, others: Tensor, sample_rate: int) -> dict[str, float]:
    """Wasserstein distance of each trait of sounds [N, S] and [M, S]."""
    one, other = traits(waves, sample_rate), traits(others, sample_rate)
    return {name: wasserstein(one[name], other[name]) for name in UNITS}


@torch.no_grad()
def evaluate(codec: SoundCodec, train: Tensor, held_out: Tensor) -> tuple[dict[str, float], dict[str, dict]]:
    """Distances of decoded log magnitudes in dB, and of traits, of training and held-out sounds [N, S], [M, S].

    Held-out sounds are compared as decoded, since what the decoder always loses would keep even a copy at a distance.
    """
    sampled, peak = codec.latents.sample(SAMPLES, torch.Generator().manual_seed(0))
    prior = torch.randn(sampled.shape, generator=torch.Generator().manual_seed(0))
    latents = codec.latents.stored_means(), codec.encode(held_out, optimise=False).latent[:, 0], sampled, prior
    stored, *others = (decoded_decibels(codec, latent) for latent in latents)
    distances = {"two sampled sounds, lowest": float(nearest(others[1], others[1]).min())}
    for name, decoded in zip(("held-out sound", "sampled sound", "sample of the prior"), others, strict=True):
        found = nearest(decoded, stored)
        distances[f"{name} to the nearest stored training sound, median"] = float(found.median())
        distances[f"{name} to the nearest stored training sound, lowest"] = float(found.min())
    sounds = {"training sounds": train[evenly_spaced(SAMPLES, len(train))]}
    sounds |= {"sampled sounds": codec.render(sampled, peak), "samples of the prior": codec.render(prior, peak)}
    return distances, {name: trait_distances(waves, held_out, codec.sample_rate) for name, waves in sounds.items()}
