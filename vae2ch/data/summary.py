"""Summary of a collection: a table for the terminal, and a CSV file of all sounds."""

import csv
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from vae2ch.audio import summarise
from vae2ch.data.blocks import block_digest
from vae2ch.data.collection import Collection
from vae2ch.data.dataset import SoundDataset
from vae2ch.data.split import SPLITS, SplitRow
from vae2ch.errors import InputError
from vae2ch.files import replace_text

REMOVED = "removed"  # remark of a file that was in the collection before
MAX_LISTED = 20  # files listed in the table for each kind of remark; the CSV file has all
ALIKE = "  alike     all are near copies of one or two recordings: the test sounds are near copies of training sounds"
MIN_GROUPED = 4  # files of one suffix that are listed together if their remark is the same


def suitable_preset(recordings: int, segments: int) -> str:
    """Preset for a collection of this size: segments of a long recording count, but less than as many recordings."""
    sounds = math.sqrt(recordings * segments)
    return "heavy" if sounds < 60 else "medium" if sounds < 250 else "light"


def table(collection: Collection, sample_rate: int, datasets: Mapping[str, SoundDataset]) -> str:
    """Table of files, seconds and segments of each split, of what was not used, and the preset that suits it."""
    sounds = collection.sounds
    segment = next(iter(datasets.values())).length / sample_rate
    seconds = sum(sound.samples for sound in sounds) / sample_rate
    copies = collection.files - collection.recordings
    padded = sum(sound.samples < segment * sample_rate for sound in sounds)
    pauses = [skipped / sample_rate for dataset in datasets.values() for skipped in dataset.skipped.values() if skipped]
    segments = {split: len(dataset) for split, dataset in datasets.items()}
    splits = " · ".join(f"{name} {segments[name]} ({len(collection.splits[name])} files)" for name in SPLITS)
    total = sum(segments.values())
    preset = suitable_preset(collection.recordings, total)
    near = f", {copies} of them copies or near copies (in the split of their original)" if copies else ""
    lines = [
        f"Sounds in {collection.root}, resampled to {sample_rate} Hz mono",
        f"  kept      {collection.files} files, {seconds:.1f} s: {collection.recordings} different recordings{near}",
        *([ALIKE] if collection.are_alike else []),
        *shorten(listed({sound.name: sound.remark for sound in sounds if sound.remark})),
        f"  padded    {padded} of them, shorter than a segment ({segment:.2f} s)",
        f"  skipped   {sum(pauses):.1f} s in {len(pauses)} of them: pauses, and ends of less than a tenth of a segment",
        f"  refused   {len(collection.refused)} files",
        *shorten(listed(collection.refused)),
        *(f"  left out  {line}" for line in summarise(collection.left_out)),
        f"  segments  {splits}",
        f"  preset    {preset} suits {collection.recordings} recordings, {total} segments",
    ]
    return "\n".join(lines)


def listed(remarks: Mapping[str, str]) -> list[str]:
    """A line for each file with its remark; files of one suffix with the same remark have one together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, remark in remarks.items():
        groups.setdefault((os.path.splitext(name)[1].lower(), remark), []).append(name)
    lines = []
    for (suffix, remark), names in groups.items():
        if len(names) < MIN_GROUPED:
            lines += [f"    {name}: {remark}" for name in names]
        else:
            lines.append(f"    {len(names)} {suffix or 'other'} files, as {names[0]}: {remark}")
    return lines


def shorten(lines: list[str]) -> list[str]:
    """The first lines of a long list, and the number of the others."""
    rest = len(lines) - MAX_LISTED
    return lines if rest <= 0 else [*lines[:MAX_LISTED], f"    ... and {rest} more, see sounds.csv"]


def write_csv(
    collection: Collection,
    sample_rate: int,
    path: Path,
    datasets: Mapping[str, SoundDataset],
    earlier: Mapping[str, SplitRow] = MappingProxyType({}),
) -> None:
    """Write one row for each file: name, split, seconds, seconds in no segment, digest, recording, remark.

    Digests are of the decoded samples, and near copies have the digest of one of them as their recording. Held-out
    files of ``earlier`` that have been removed are kept, so that they stay held out if they return.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["file", "split", "seconds", "skipped", "digest", "recording", "remark"])
    for split, sounds in collection.splits.items():
        for sound in sounds:
            seconds, skipped = sound.samples / sample_rate, datasets[split].skipped[sound.name] / sample_rate
            whole = sound.digest.removesuffix(block_digest("", split))
            recording = collection.recording_of.get(whole, whole)
            rows.writerow(
                [sound.name, split, f"{seconds:.3f}", f"{skipped:.3f}", sound.digest, recording, sound.remark]
            )
    rows.writerows([name, "refused", "", "", "", "", reason] for name, reason in collection.refused.items())
    for reason, names in collection.left_out.items():
        rows.writerows([name, "left out", "", "", "", "", reason] for name in names)
    present = {sound.name for sound in collection.sounds}
    gone = {name: row for name, row in earlier.items() if name not in present and row.split != "train"}
    rows.writerows([name, row.split, "", "", row.digest, "", REMOVED] for name, row in gone.items())
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
