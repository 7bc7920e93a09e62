"""Find the sound files below a folder, and say what was left out."""

import errno
import os
import stat
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vae2ch.audio import content
from vae2ch.errors import InputError
from vae2ch.terminal import one_line

# deleted and older files, and the metadata of other systems; names are compared in lower case
SYSTEM_FOLDERS = frozenset(
    {
        "$recycle.bin", "recycle.bin", "recycler", "recycled", "system volume information", "$extend", "$windows.~bt",
        "lost+found", "found.000", "lost.dir", "__macosx", "backups.backupdb", "dfsrprivate",
        "network trash folder", "thevolumesettingsfolder", "temporary items",
        "@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "@__thumb", "@tmp", "~snapshot",  # NAS
        "files_trashbin", "files_versions", "_gsdata_", "rdiff-backup-data",  # sync and backup tools
        ".recycle", ".recycle.bin", ".stversions", ".snapshot", ".snapshots", ".zfs", ".dropbox.cache", ".@__thumb",
    }
)  # fmt: skip
RUN_MARK = ".hydra"  # in the folder of a run, from its beginning
MAX_NAMED = 3  # examples in a summary
OTHER = "other files"
MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass
class Listing:
    """Sound files below a folder, sorted, and what was left out: names by reason."""

    root: Path
    files: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)  # to files, not among ``files`` yet
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, reason: str, path: Path) -> None:
        self.left_out.setdefault(reason, []).append(printable(path.relative_to(self.root)))


def summarise(left_out: dict[str, list[str]]) -> list[str]:
    """One line for each reason, with the number of names and some of them."""
    lines = []
    for reason, names in left_out.items():
        named = ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")
        lines.append(f"{reason} ({len(names)}): {suffixes_of(names) if reason == OTHER else named}")
    return lines


def suffixes_of(names: list[str]) -> str:
    """Suffixes of file names, with how many have each."""
    counts = Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in names)
    shown = [f"{suffix} {count}" for suffix, count in counts.most_common(5)]
    return ", ".join(shown) + (", ..." if len(counts) > len(shown) else "")


def printable(path: Path) -> str:
    """Path as one line of text, the same in every locale, that can be printed and stored whatever bytes it has."""
    return one_line(os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace"))


def list_files(root: Path) -> Listing:
    """Sound files below ``root``; links to folders are followed, each place once. Raises ``InputError`` if none.

    Left out are hidden files and folders, trash and version folders of systems and links into them, folders of runs,
    and files that are neither named as a sound nor begin as one.
    """
    check_folder(root)
    listing = Listing(root)
    for folder, entries in walk(listing):
        for entry in entries:
            sort_file(listing, folder / entry.name, entry)
    add_links(listing)
    listing.files.sort()
    if not listing.files:
        looked_for = "looked for .wav, .flac, .mp3, .ogg, .opus, .aiff, .m4a and others"
        left_out = [f"left out {line}" for line in summarise(listing.left_out)]
        raise InputError("; ".join([f"no sound file in {root}", looked_for, *left_out]))
    return listing


def check_folder(root: Path) -> None:
    """Raise ``InputError`` if there is no folder at a path."""
    try:
        state = "" if stat.S_ISDIR(root.stat().st_mode) else "is a file, not a folder"
    except OSError as error:
        state = "does not exist" if error.errno in MISSING else f"cannot be read ({text_of(error)})"
    if state:
        raise InputError(f"{root} {state}; give a folder of sound files")


def walk(listing: Listing) -> Iterator[tuple[Path, list[os.DirEntry]]]:
    """Folders below a root, with their files. Linked folders come last, so that a place has its own name if it has one.

    Those that are left out are added to the listing.
    """
    root = Path(os.path.realpath(listing.root))
    visited: set[Path] = set()
    waiting, linked = [listing.root], deque[Path]()
    while waiting or linked:
        folder = waiting.pop() if waiting else linked.popleft()
        place = Path(os.path.realpath(folder))
        if place in visited or (root != place and root.is_relative_to(place)):
            what = "are listed already" if place in visited else "hold this one"
            listing.leave_out(f"links to folders that {what}", folder)
            continue
        visited.add(place)
        folders, files = entries_of(folder, listing)
        for entry in reversed(folders):
            path = folder / entry.name
            if reason := reason_to_skip(path) or (entry.is_symlink() and reason_by_target(path, root)):
                listing.leave_out(reason, path)
            else:
                (linked if entry.is_symlink() else waiting).append(path)
        yield folder, files


def entries_of(folder: Path, listing: Listing) -> tuple[list[os.DirEntry], list[os.DirEntry]]:
    """Folders and files in a folder, sorted; none, and a note in the listing, if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        listing.leave_out(f"folders that cannot be read ({text_of(error)})", folder)
        return [], []
    return [entry for entry in entries if is_folder(entry)], [entry for entry in entries if not is_folder(entry)]


def reason_to_skip(folder: Path) -> str:
    """Why a folder holds nothing to train on, or ""."""
    if folder.name.startswith("."):
        return "hidden folders"
    if is_trash(folder):
        return "trash and system folders"
    return "folders of runs" if os.path.exists(folder / RUN_MARK) else ""


def is_trash(folder: Path) -> bool:
    """Whether a folder is the trash, or has old files or metadata; that of a Linux desktop is ``Trash/files``."""
    name = folder.name.lower()
    return name in SYSTEM_FOLDERS or name.startswith(".trash") or (name == "trash" and os.path.isdir(folder / "files"))


def reason_by_target(link: Path, root: Path) -> str:
    """Why what a link leads to is left out, or ""; a hidden target is not, as who made the link wanted it.

    Trash folders in which ``root`` itself lies do not count.
    """
    place = Path(os.path.realpath(link))
    around = (folder for folder in (place, *place.parents) if not root.is_relative_to(folder))
    return "links into trash and system folders" if any(map(is_trash, around)) else ""


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link loop
        return False


def sort_file(listing: Listing, path: Path, entry: os.DirEntry) -> None:
    """Add a file to the sounds, to the links, or to what is left out."""
    stem, suffix = os.path.splitext(entry.name.lower())
    if entry.name.startswith("."):
        listing.leave_out("hidden files", path)
    elif suffix in content.UNFINISHED_SUFFIXES and (
        os.path.splitext(stem)[1] in content.SOUND_SUFFIXES or not reason_by_content(path, entry)
    ):
        listing.leave_out("unfinished downloads", path)
    elif suffix in content.HEADERLESS_SUFFIXES and reason_by_content(path, entry):
        listing.leave_out("sounds without a header, whose rate is not known: convert them to WAV", path)
    elif reason := "" if suffix in content.SOUND_SUFFIXES else reason_by_content(path, entry):
        listing.leave_out(reason, path)
    else:
        (listing.links if entry.is_symlink() else listing.files).append(path)


def reason_by_content(path: Path, entry: os.DirEntry) -> str:
    """Why a file of an unknown suffix is no sound, or "" if it begins like one."""
    try:
        if not stat.S_ISREG(entry.stat().st_mode):  # reading a pipe would block
            return OTHER
        with path.open("rb", buffering=0) as file:
            start = file.read(content.STREAM_BYTES)
            return "" if content.is_sound(start[: content.HEAD_BYTES]) or content.is_stream(start) else OTHER
    except OSError as error:
        if entry.is_symlink() and error.errno in MISSING:
            return "links that lead nowhere"
        return f"files that cannot be read ({text_of(error)})"


def text_of(error: OSError) -> str:
    """The system's words for an error."""
    return (error.strerror or str(error)).lower()


def add_links(listing: Listing) -> None:
    """Add the links to files that are not listed under their own name."""
    root = Path(os.path.realpath(listing.root))
    listed = {os.path.realpath(path) for path in listing.files} if listing.links else set()
    for path in sorted(listing.links):
        place = os.path.realpath(path)
        if reason := reason_by_target(path, root):
            listing.leave_out(reason, path)
        elif place in listed:
            listing.leave_out("links to files that are listed already", path)
        else:
            listed.add(place)
            listing.files.append(path)
