"""What the sounds of a method are scored by: each beside its original, and all of them in a table's cells."""

import math

from torch import Tensor

from vae2ch import metrics
from vae2ch.bench import instruments
from vae2ch.callbacks.verdict import Verdict
from vae2ch.metrics import Pitch


def heard_pitches(waves: Tensor, lengths: list[int], labels: list[str], rate: int) -> list[Pitch]:
    """Of the originals [M, S]; where a name tells the note, that and the frames in which it is heard, or none."""

    def known(heard: Pitch, note: int | None) -> Pitch:
        if note is None:
            return heard
        frames = heard.heard & ((heard.track - note).abs() < metrics.QUARTER_TONE)
        return heard._replace(heard=frames, note=note if abs(heard.note - note) < metrics.QUARTER_TONE else math.nan)

    pitches = [metrics.pitch(wave[:length], rate) for wave, length in zip(waves, lengths, strict=True)]
    return [known(heard, instruments.pitch_of(label)) for heard, label in zip(pitches, labels, strict=True)]


def score(
    waves: Tensor, estimates: Tensor, lengths: list[int], pitches: list[Pitch], rate: int
) -> list[dict[str, float]]:
    """The measures of every sound [M, S], whose pitches are known"""
    sounds = zip(waves, estimates, lengths, pitches, strict=True)
    return [Verdict.measure(wave[:length], other[:length], rate, pitch) for wave, other, length, pitch in sounds]


def mean(rows: list[dict[str, float]], name: str) -> float:
    """Of one measure, over the sounds that have it; an infinite one, the SNR of an exact copy, is left out."""
    values = [row[name] for row in rows if name in row and not math.isinf(row[name])]
    return sum(values) / len(values) if values else math.nan


def in_pitch(rows: list[dict[str, float]]) -> str:
    """Two cells of a table: how many sounds have the right note, and in how many of their frames they have it."""
    right = [row["pitch_right"] for row in rows if "pitch_right" in row]
    return f"{sum(right):.0f}/{len(right)} | {100 * mean(rows, 'pitch_kept'):.1f}"
