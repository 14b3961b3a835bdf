"""The files that a graph names by patterns, for its own Python to read."""

import glob
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from graphc.artefacts.files import check_place
from graphc.artefacts.python_imports import is_file
from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics.codes.artefacts import MISSING_ARTEFACT
from graphc.diagnostics.suggest import did_you_mean

MOST_FILES: Final = 10_000
"""Files that one pattern may stand for."""


def find_files(folder: Path, pattern: str) -> tuple[str, ...] | ArtefactFault:
    """Return the files of a folder that a pattern stands for, relative to it and sorted, or why there are none.

    A folder stands for all that lies in it. Names that begin with a dot have to be written out, as in a shell.
    """
    # The limit is of what is looked at: a pattern of links that lead in circles has no end.
    found = list(islice(_match(folder, pattern), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        hint = "name the files that the node needs"
        return ArtefactFault(MISSING_ARTEFACT, f"`{pattern}` stands for more than {MOST_FILES:,} files", hint)
    files = sorted({name for name in found if is_file(folder / name)})
    for file in files:
        fault = check_place(folder, file)
        if fault is not None:
            return fault
    return tuple(files) if files else _explain(folder, pattern, any_found=bool(found))


def _match(folder: Path, pattern: str) -> Iterator[str]:
    # pathlib's patterns take hidden files too.
    for name in glob.iglob(pattern, root_dir=folder, recursive=True):  # noqa: PTH207
        path = PurePosixPath(name)
        if "__pycache__" in path.parts:
            continue
        yield path.as_posix()
        # `**` goes down by itself.
        if "**" not in pattern and (folder / path).is_dir():
            yield from _match(folder, f"{glob.escape(path.as_posix())}/**")


def _explain(folder: Path, pattern: str, *, any_found: bool) -> ArtefactFault:
    if any_found:
        return ArtefactFault(MISSING_ARTEFACT, f"`{pattern}` stands for no regular file")
    if glob.has_magic(pattern):
        return ArtefactFault(MISSING_ARTEFACT, f"no file is like `{pattern}`")
    return ArtefactFault(MISSING_ARTEFACT, f"there is no file `{pattern}`", _suggest(folder, pattern))


def _suggest(folder: Path, pattern: str) -> str | None:
    parent = PurePosixPath(pattern).parent
    try:
        beside: Sequence[str] = sorted(
            (parent / each.name).as_posix() for each in (folder / parent).iterdir()
        )
    except OSError:
        return None
    return did_you_mean(pattern, beside)
