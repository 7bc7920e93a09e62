"""Collections of sounds: a folder, the built-in notes, the procedural world, NSynth."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vae2ch import audio
from vae2ch.config import DataConfig
from vae2ch.data import notes, world
from vae2ch.data.blocks import MIN_RECORDINGS, block_name, cut_long_recordings
from vae2ch.data.near_copies import recordings_of
from vae2ch.data.scan import Scan, Sound, scan
from vae2ch.data.split import SplitRow, earlier_splits, split_by_recording
from vae2ch.errors import InputError
from vae2ch.files import expand_home

NSYNTH_FOLDERS = {"train": "nsynth-train", "validation": "nsynth-valid", "test": "nsynth-test"}


@dataclass(frozen=True)
class Collection:
    """The sounds of each split, the reason for each file that was refused, and what was left out, by reason."""

    root: Path
    splits: dict[str, list[Sound]]
    refused: dict[str, str]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    recording_of: dict[str, str] = field(default_factory=dict)  # name of the recording of each file's digest
    are_alike: bool = False  # all are near copies of one or two, and were split nevertheless

    @property
    def sounds(self) -> list[Sound]:
        """Sounds of all splits."""
        return [sound for split in self.splits.values() for sound in split]

    @property
    def files(self) -> int:
        """Number of files in the splits."""
        names = {split: (sound.name for sound in sounds) for split, sounds in self.splits.items()}
        return len({name.removesuffix(block_name("", split)) for split, found in names.items() for name in found})

    @property
    def recordings(self) -> int:
        """Number of different recordings."""
        return len(set(self.recording_of.values()))


def read_collection(
    config: DataConfig, sample_rate: int, segment: int, seed: int, earlier: Mapping[str, SplitRow] | None = None
) -> Collection:
    """Find, decode and split the sounds of the configured source. Raises ``InputError`` if they cannot be used.

    ``segment`` is the number of samples that the model sees at once, ``earlier`` what a run that is resumed has noted,
    by file name.
    """
    root = expand_home(config.root)
    cache = expand_home(config.cache) if config.cache else None
    if config.source == "nsynth":
        return read_nsynth(root, sample_rate, cache=cache, limit=config.limit)
    if config.source == "world":
        return read_world(config, root, sample_rate, seed, cache=cache, earlier=earlier or {})
    if config.source == "notes":
        notes.write(root, threads=torch.get_num_threads())
    found = scan(root, sample_rate, cache=cache, results=config.source == "notes")
    fractions = {"validation": config.validation, "test": config.test}
    recording_of = recordings_of(found.sounds, sample_rate)
    sounds, blocks = cut_long_recordings(found.sounds, recording_of, segment, sample_rate, **fractions)
    are_alike = not blocks and len(set(recording_of.values())) < MIN_RECORDINGS <= len(recording_of)
    if are_alike:  # better a model without a fair test than none
        recording_of = {digest: digest for digest in recording_of}
    splits = split_by_recording(
        sounds,
        **fractions,
        seed=seed,
        recording_of=recording_of | {digest: digest for digest in blocks},
        fixed=blocks | earlier_splits(sounds, earlier or {}),
    )
    return Collection(root, splits, found.refused, found.left_out, recording_of, are_alike)


def read_world(
    config: DataConfig, root: Path, sample_rate: int, seed: int, *, cache: Path | None, earlier: Mapping[str, SplitRow]
) -> Collection:
    """The procedural world, each sound of which is a recording, and the recordings in the folder beside its sounds.

    Raises ``InputError`` if it cannot be written.
    """
    # torch has as many threads as this process may use cores
    paths = world.write(root, config.world_seed, config.sounds, processes=torch.get_num_threads())
    beside = root / world.RECORDED
    listing = audio.list_files(beside) if beside.is_dir() else None
    found = scan(root, sample_rate, paths + (listing.files if listing else []), cache, results=True)
    recorded = [sound for sound in found.sounds if sound.name.startswith(f"{world.RECORDED}/")]
    recording_of = {sound.digest: sound.digest for sound in found.sounds} | recordings_of(recorded, sample_rate)
    fractions = {"validation": config.validation, "test": config.test}
    fixed = earlier_splits(found.sounds, earlier)
    splits = split_by_recording(found.sounds, **fractions, seed=seed, recording_of=recording_of, fixed=fixed)
    left_out = listing.left_out if listing else {}
    return Collection(root, splits, found.refused, left_out, recording_of=recording_of)


def read_nsynth(root: Path, sample_rate: int, *, cache: Path | None, limit: int | None) -> Collection:
    """NSynth (Engel et al. 2017) with its own three splits. Raises ``InputError`` if one has no usable file."""
    scans: dict[str, Scan] = {}
    for name, folder in NSYNTH_FOLDERS.items():
        paths = nsynth_paths(root / folder, limit)
        scans[name] = scan(root, sample_rate, paths, cache and cache / folder)
    refused = {file: reason for found in scans.values() for file, reason in found.refused.items()}
    splits = {name: found.sounds for name, found in scans.items()}
    digests = {sound.digest: sound.digest for sounds in splits.values() for sound in sounds}
    return Collection(root, splits, refused, recording_of=digests)


def nsynth_paths(folder: Path, limit: int | None) -> list[Path]:
    """Files that an NSynth split's ``examples.json`` names, at most ``limit``. Raises ``InputError`` if unreadable."""
    index = folder / "examples.json"
    try:
        names = json.loads(index.read_text(encoding="utf-8"))
        if not isinstance(names, dict) or not names:
            raise ValueError("it names no examples")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        layout = ", ".join(f"{split}/examples.json and {split}/audio/" for split in NSYNTH_FOLDERS.values())
        raise InputError(f"data.root: cannot read {index} ({reason}); NSynth has {layout}") from None
    # ordered by hash, as the names are sorted by instrument and the first ones would be of few
    chosen = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:limit]
    return [folder / "audio" / f"{name}.wav" for name in sorted(chosen)]
