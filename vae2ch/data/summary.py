"""Summary of a collection: a table for the terminal, and a CSV file of all sounds."""

import csv
from pathlib import Path

from vae2ch.data.collection import Collection
from vae2ch.data.split import SPLITS

MAX_LISTED = 20  # files listed in the table for each kind of remark; the CSV file has all


def recommended_preset(files: int) -> str:
    """Preset for a collection with this number of files."""
    return "heavy" if files < 60 else "medium" if files < 250 else "light"


def table(collection: Collection, sample_rate: int, segment: int, segments: dict[str, int]) -> str:
    """Table of files, seconds and segments of each split, refused files, and the recommended preset."""
    sounds = collection.sounds
    seconds = sum(sound.samples for sound in sounds) / sample_rate
    padded = sum(sound.samples < segment for sound in sounds)
    remarks = [f"    {sound.name}: {sound.remark}" for sound in sounds if sound.remark]
    refused = [f"    {name}: {reason}" for name, reason in collection.refused.items()]
    splits = " · ".join(f"{name} {segments[name]} ({len(collection.splits[name])} files)" for name in SPLITS)
    lines = [
        f"Sounds in {collection.root}, resampled to {sample_rate} Hz mono",
        f"  kept      {len(sounds)} files, {seconds:.1f} s",
        *shorten(remarks),
        f"  padded    {padded} of them, shorter than a segment ({segment / sample_rate:.2f} s)",
        f"  refused   {len(refused)} files",
        *shorten(refused),
        f"  segments  {splits}",
        f"  preset    {recommended_preset(len(sounds))} is recommended for {len(sounds)} files",
    ]
    return "\n".join(lines)


def shorten(lines: list[str]) -> list[str]:
    """The first lines of a long list, and the number of the others."""
    rest = len(lines) - MAX_LISTED
    return lines if rest <= 0 else [*lines[:MAX_LISTED], f"    ... and {rest} more, see sounds.csv"]


def write_csv(collection: Collection, sample_rate: int, path: Path) -> None:
    """Write one row for each file: name, split, seconds, remark."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "split", "seconds", "remark"])
        for name, sounds in collection.splits.items():
            rows.writerows([sound.name, name, f"{sound.samples / sample_rate:.3f}", sound.remark] for sound in sounds)
        rows.writerows([name, "refused", "", reason] for name, reason in collection.refused.items())
