"""The memory that this container may use."""

import os
from pathlib import Path
from typing import Final

_SELF: Final = Path("/proc/self/cgroup")
_ROOT: Final = Path("/sys/fs/cgroup")


def memory_limit(listing: Path = _SELF, root: Path = _ROOT) -> int:
    """Return the bytes that this process may use: the least limit of its control groups, or the machine's memory."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(each for each in map(_read, _files(listing, root)) if each)])


def _files(listing: Path, root: Path) -> list[Path]:
    """Return the files that may hold a limit: those of this group and of all above it, of both versions."""
    try:
        lines = listing.read_text().splitlines()
    except OSError:
        lines = []
    found = [root / "memory.max", root / "memory" / "memory.limit_in_bytes"]
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        # Version 2 has one tree without controllers' names, version 1 one for each.
        is_one = not controllers
        if not is_one and "memory" not in controllers.split(","):
            continue
        folder, name = (root, "memory.max") if is_one else (root / "memory", "memory.limit_in_bytes")
        parts = [part for part in group.split("/") if part not in ("", ".", "..")]
        found += [folder.joinpath(*parts[:count], name) for count in range(1, len(parts) + 1)]
    return found


def _read(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    # Version 2 says `max` where there is none, version 1 a number beyond all memory.
    return int(text) if text.isascii() and text.isdigit() and int(text) else None
