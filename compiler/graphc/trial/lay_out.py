"""Lays files of this machine out as a container has them."""

from collections.abc import Sequence
from pathlib import Path


def link_files(files: Sequence[tuple[str, Path]], folder: Path) -> None:
    """Link files below a folder, each under its name there."""
    for name, file in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(file.resolve())
