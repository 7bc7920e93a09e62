"""A collection of sounds: found, decoded, split by source into train, validation and test."""

import csv
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from vae2ch import audio, notes
from vae2ch.audio import Scan, Sound
from vae2ch.refusal import Refusal

SPLITS = ("train", "validation", "test")
NSYNTH = {"train": "nsynth-train", "validation": "nsynth-valid", "test": "nsynth-test"}
LISTED = 20  # refused files in the printed table; sounds.csv has them all


@dataclass(frozen=True)
class Collection:
    """The sounds of each split, and the files that were refused with the reason for each."""

    root: Path
    splits: dict[str, list[Sound]]
    refused: dict[str, str]

    @property
    def files(self) -> int:
        """How many files are kept."""
        return sum(map(len, self.splits.values()))


def split_by_source(sounds: list[Sound], *, validation: float, test: float, seed: int) -> dict[str, list[Sound]]:
    """Divide sounds so that no recording is in two splits; identical content is one recording.

    Sources are ranked by a hash of seed and content: a split depends on nothing else, is the
    same on every machine, and changes little when files come or go.

    Raises:
        Refusal: there are fewer than three different recordings
    """
    digests = {sound.digest for sound in sounds}
    if len(digests) < 3:
        raise Refusal(
            f"data.root: found {len(digests)} different recording(s); at least 3 are needed, one each to train on, "
            "to validate and to test (cut a long recording into several files)"
        )
    ranked = sorted(digests, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
    held = {"validation": max(1, round(validation * len(ranked))), "test": max(1, round(test * len(ranked)))}
    if sum(held.values()) >= len(ranked):
        raise Refusal(f"data.validation and data.test leave none of {len(ranked)} recordings to train on; lower them")
    # from both ends: each of the two is the same whatever the size of the other
    members = {
        "test": set(ranked[: held["test"]]),
        "train": set(ranked[held["test"] : -held["validation"]]),
        "validation": set(ranked[-held["validation"] :]),
    }
    return {name: [sound for sound in sounds if sound.digest in members[name]] for name in SPLITS}


def read_folder(
    root: Path, sample_rate: int, *, cache: Path | None, validation: float, test: float, seed: int
) -> Collection:
    """Any tree of sound files."""
    found = audio.scan(root, sample_rate, cache=cache)
    return Collection(root, split_by_source(found.sounds, validation=validation, test=test, seed=seed), found.refused)


def read_notes(
    root: Path, sample_rate: int, *, cache: Path | None, validation: float, test: float, seed: int
) -> Collection:
    """The embedded notes, written below ``root`` the first time."""
    notes.write(root)
    return read_folder(root, sample_rate, cache=cache, validation=validation, test=test, seed=seed)


def nsynth_paths(folder: Path, limit: int | None) -> list[Path]:
    """The files that an NSynth split's ``examples.json`` names, the first ``limit`` of them by name.

    Raises:
        Refusal: the folder has no readable ``examples.json``
    """
    index = folder / "examples.json"
    try:
        names = json.loads(index.read_text(encoding="utf-8"))
        if not isinstance(names, dict) or not names:
            raise ValueError("it names no examples")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        layout = ", ".join(f"{folder}/examples.json and {folder}/audio/" for folder in NSYNTH.values())
        raise Refusal(f"data.root: cannot read {index} ({reason}); NSynth has {layout}") from None
    # by hash: the names are sorted by instrument, and a limit shall not pick only the first ones
    ranked = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:limit]
    return [folder / "audio" / f"{name}.wav" for name in sorted(ranked)]


def read_nsynth(root: Path, sample_rate: int, *, cache: Path | None, limit: int | None) -> Collection:
    """NSynth with its own three splits (Engel et al. 2017).

    Raises:
        Refusal: a split is missing, or none of its files decodes
    """
    scans: dict[str, Scan] = {}
    for name, folder in NSYNTH.items():
        paths = nsynth_paths(root / folder, limit)
        scans[name] = audio.scan(root, sample_rate, paths, cache and cache / folder)
    refused = {file: reason for scan in scans.values() for file, reason in scan.refused.items()}
    return Collection(root, {name: scan.sounds for name, scan in scans.items()}, refused)


def suited_preset(files: int) -> str:
    """The preset that fits a collection of so many files."""
    return "heavy" if files < 60 else "medium" if files < 250 else "light"


def table(collection: Collection, sample_rate: int, segment: int, segments: dict[str, int]) -> str:
    """What was found, in a few lines: kept, padded, refused, seconds, segments, preset.

    Args:
        segment: samples of one segment
        segments: how many each split was cut into
    """
    sounds = [sound for split in collection.splits.values() for sound in split]
    seconds = sum(sound.wave.size for sound in sounds) / sample_rate
    padded = sum(sound.wave.size < segment for sound in sounds)
    odd = [f"    {sound.name}: {sound.remark}" for sound in sounds if sound.remark]
    refused = [f"    {name}: {reason}" for name, reason in collection.refused.items()]
    shares = " · ".join(f"{name} {segments[name]} ({len(collection.splits[name])} files)" for name in SPLITS)
    lines = [
        f"Sounds in {collection.root}, brought to {sample_rate} Hz mono",
        f"  kept      {len(sounds)} files, {seconds:.1f} s",
        *shortened(odd),
        f"  padded    {padded} of them, shorter than a segment ({segment / sample_rate:.2f} s)",
        f"  refused   {len(refused)} files",
        *shortened(refused),
        f"  segments  {shares}",
        f"  preset    {suited_preset(len(sounds))} suits {len(sounds)} files",
    ]
    return "\n".join(lines)


def shortened(lines: list[str]) -> list[str]:
    """The first lines of a long list, and how many were left off."""
    rest = len(lines) - LISTED
    return lines if rest <= 0 else [*lines[:LISTED], f"    ... and {rest} more, see sounds.csv"]


def write_csv(collection: Collection, sample_rate: int, path: Path) -> None:
    """Every file with its split, its seconds and what was said of it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "split", "seconds", "remark"])
        for name, sounds in collection.splits.items():
            rows.writerows([sound.name, name, f"{sound.wave.size / sample_rate:.3f}", sound.remark] for sound in sounds)
        rows.writerows([name, "refused", "", reason] for name, reason in collection.refused.items())
