"""Segments of fixed length, cut from sounds."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vae2ch import audio
from vae2ch.data.pauses import audible_frames, frame_size
from vae2ch.data.scan import Sound

MIN_REMAINDER = 0.1  # of a segment; a shorter remainder at the end of a sound is dropped


class Item(NamedTuple):
    """One segment, or a batch of them."""

    wave: Tensor  # samples, zeros after the end of the sound  [S] or [B, S]
    samples: Tensor  # how many of them are not padding  [] or [B]
    index: Tensor  # position in the dataset  [] or [B]
    gain: Tensor  # amplitude that the loudest bin of the spectrogram is scaled to, re full scale  [] or [B]


def segment_starts(wave: np.ndarray, length: int, step: float = 0.0) -> list[int]:
    """First samples of the segments of ``wave`` [S]: back to back, skipping pauses; the last one may overlap.

    ``step`` is that of the samples' quantisation, whose noise is a pause too.
    """
    frame = frame_size(length)
    audible = np.flatnonzero(audible_frames(wave, frame, step))
    if not audible.size:  # constant
        return [0]
    end = min(wave.size, (int(audible[-1]) + 1) * frame)
    starts: list[int] = []
    position = 0
    while position < end:
        ahead = audible[np.searchsorted(audible, position // frame)]
        start = max(position, int(ahead) * frame)
        if starts and end - start < MIN_REMAINDER * length:
            break
        if start + length > wave.size:
            start = max(0, wave.size - length)
        starts.append(start)
        position = start + length
    return starts


def samples_between(starts: list[int], length: int, samples: int) -> int:
    """Number of samples of a sound that are in none of its segments."""
    covered, end = 0, 0
    for start in starts:
        covered += min(start + length, samples) - max(start, end)
        end = min(start + length, samples)
    return samples - covered


def evenly_spaced(count: int, total: int) -> list[int]:
    """At most ``count`` indices, evenly spaced over ``total`` items from the first to the last."""
    count = min(count, total)
    return [round(step * (total - 1) / max(1, count - 1)) for step in range(count)]


class SoundDataset(Dataset[Item]):
    """Segments of ``length`` samples, without augmentation."""

    def __init__(self, sounds: list[Sound], length: int) -> None:
        self.length = length
        self.excerpts: list[tuple[Sound, int]] = []  # sounds and first samples
        self.skipped: dict[str, int] = {}  # samples of each file that are in no segment
        for sound in sounds:
            starts = segment_starts(sound.wave, length, sound.step)
            self.excerpts += [(sound, start) for start in starts]
            self.skipped[sound.name] = samples_between(starts, length, sound.samples)

    def __len__(self) -> int:
        return len(self.excerpts)

    def __getitem__(self, index: int) -> Item:
        return self.excerpt(index)

    def label(self, index: int, sample_rate: int) -> str:
        """File name of a segment, with its time in seconds if it is not at the beginning."""
        sound, start = self.excerpts[index]
        return f"{sound.name} @ {start / sample_rate:.2f} s" if start else sound.name

    def excerpt(self, index: int, shift: int = 0, speed: float = 1.0) -> Item:
        """Segment ``index``, begun ``shift`` samples earlier (zeros before the sound), with another speed and pitch."""
        sound, start = self.excerpts[index]
        first = max(0, start - shift)
        before = min(self.length, max(0, shift - start))
        part = sound.wave[first : first + round((self.length - before) * speed)]
        if speed != 1.0:
            part = audio.resample(part, speed, 1.0)
        part = part[: self.length - before]
        wave = torch.zeros(self.length)
        wave[before : before + part.size] = torch.from_numpy(np.asarray(part))
        return Item(wave, torch.tensor(before + part.size), torch.tensor(index), torch.tensor(1.0))
