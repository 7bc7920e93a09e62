"""Summary of a collection: a table for the terminal, and a CSV file of all sounds."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from vae2ch.data.collection import Collection
from vae2ch.data.split import SPLITS, SplitRow
from vae2ch.errors import InputError
from vae2ch.files import replace_text

REMOVED = "removed"  # remark of a file that was in the collection before
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


def write_csv(
    collection: Collection, sample_rate: int, path: Path, earlier: Mapping[str, SplitRow] = MappingProxyType({})
) -> None:
    """Write one row for each file: name, split, seconds, digest of the decoded samples, remark.

    Held-out files of ``earlier`` that have been removed are kept, so that they stay held out if they return.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["file", "split", "seconds", "digest", "remark"])
    for split, sounds in collection.splits.items():
        for sound in sounds:
            rows.writerow([sound.name, split, f"{sound.samples / sample_rate:.3f}", sound.digest, sound.remark])
    rows.writerows([name, "refused", "", "", reason] for name, reason in collection.refused.items())
    present = {sound.name for sound in collection.sounds}
    gone = {name: row for name, row in earlier.items() if name not in present and row.split != "train"}
    rows.writerows([name, row.split, "", row.digest, REMOVED] for name, row in gone.items())
    replace_text(path, text.getvalue())


def read_csv(path: Path) -> dict[str, SplitRow]:
    """Rows that ``write_csv`` wrote, by file name, without the refused files. Raises ``InputError`` if unreadable."""
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = {
                row["file"]: SplitRow(row["split"], row["digest"], row["remark"] == REMOVED)
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error!r}), so the sounds cannot be compared with those") from None
    return {name: row for name, row in rows.items() if row.split in SPLITS}


def differences(collection: Collection, rows: Mapping[str, SplitRow]) -> list[str]:
    """Differences of a collection from the rows of an earlier one, a line for each file."""
    now = {sound.name: sound.digest for sound in collection.sounds}
    before = {name: row.digest for name, row in rows.items() if not row.removed}
    lines = [f"added {name}" for name in sorted(now.keys() - before.keys())]
    lines += [f"removed {name}" for name in sorted(before.keys() - now.keys())]
    return lines + [f"changed {name}" for name in sorted(now.keys() & before.keys()) if now[name] != before[name]]
