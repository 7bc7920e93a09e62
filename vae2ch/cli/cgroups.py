"""Limits of the control groups that this process is in, as containers and batch systems set them, on Linux.

Version 2 has one tree of groups, version 1 one for each controller; a group's limits hold for the groups in it. All
functions take the root of the file system, and find no limit where files are missing or cannot be read.
"""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/")
CPU_FILES = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))  # of both versions: time and its period
MEMORY_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
RECLAIMABLE = {"inactive_file", "total_inactive_file"}  # pages of files that the system drops when memory is needed
NO_LIMIT = 2**60  # version 1 writes a number near 2^63


def cpu_quota(root: Path = ROOT) -> int | None:
    """Cores whose time this process may use, rounded up; None without a limit."""
    found = []
    for group in groups("cpu", root):
        for files in CPU_FILES:
            quota, period = numbers(group, files) or (0, 0)
            if quota > 0 and period > 0:  # version 1 writes -1 for none
                found.append(math.ceil(quota / period))
    return min(found, default=None)


def available_memory(root: Path = ROOT) -> int | None:
    """Bytes that this process may still allocate in its groups; None without a limit."""
    found = []
    for group in groups("memory", root):
        for files in MEMORY_FILES:
            limit, usage = numbers(group, files) or (NO_LIMIT, 0)
            if limit < NO_LIMIT:
                found.append(max(0, limit - usage + reclaimable(group)))
    return min(found, default=None)


def reclaimable(group: Path) -> int:
    """Bytes of a group's usage that it frees when it reaches its limit."""
    with suppress(OSError, ValueError):
        rows = [line.split() for line in (group / "memory.stat").read_text().splitlines()]
        return max((int(row[1]) for row in rows if row[0] in RECLAIMABLE), default=0)
    return 0


def numbers(group: Path, files: Iterable[str]) -> list[int]:
    """The two numbers in some files of a group; none if they are missing or one says ``max``."""
    with suppress(OSError, ValueError):
        found = [int(word) for name in files for word in (group / name).read_text().split()]
        return found if len(found) == 2 else []
    return []


def groups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of this process's group for a controller, and of the groups that it is in."""
    with suppress(OSError, ValueError):
        for line in (root / "proc" / "self" / "cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if names and controller not in names.split(","):
                continue
            # version 1 mounts "cpu,cpuacct" under both names or one; version 2 alone at the top, or beside version 1
            for mount in (names, controller) if names else ("", "unified"):
                top = root / "sys" / "fs" / "cgroup" / mount
                # in a container the path may be that on the host, and the mount the container's own group
                place = Path(os.path.normpath(f"{top}/{path}"))
                yield from {top, *(folder for folder in (place, *place.parents) if folder.is_relative_to(top))}
