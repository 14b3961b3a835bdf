"""Finds the graph files below a folder, where a command is given one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

_SUFFIXES: Final = (".yaml", ".yml")
_KIND: Final = re.compile(rb"(?m)^kind:[ \t]*[\"']?InferenceGraph\b")
_LOOKED_AT: Final = 1 << 16
_MOST: Final = 10_000
"""More files than these no folder of graphs has: it is a mistake, or never ends."""


def expand_folders(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths with, in the place of a folder, the graph files below it; raises click's error without any."""
    found: list[str] = []
    for path in paths:
        if path == "-" or not Path(path).is_dir():
            found.append(path)
            continue
        graphs = [str(each) for each in _walk(Path(path)) if _is_graph(each)]
        if not graphs:
            raise click.ClickException(
                f"`{path}` has no graph file: none below it says `kind: InferenceGraph`"
            )
        found += graphs
    return tuple(found)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield YAML files in the order of their names; hidden folders and links to folders are passed over."""
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(files):
            count += 1
            if count > _MOST:
                raise click.ClickException(f"`{folder}` has more than {_MOST} files; name the graph files")
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield Path(place, name)


def _is_graph(path: Path) -> bool:
    from graphc.regular_files import open_regular

    try:
        with open_regular(path) as file:
            return _KIND.search(file.read(_LOOKED_AT)) is not None
    except OSError:
        return False
