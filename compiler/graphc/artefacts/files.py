"""Says what is wrong with the files that a graph names: where they lie, and whether they can be opened."""

import os
import posixpath
from pathlib import Path, PurePosixPath

from graphc.artefacts.signature import ArtefactFault
from graphc.diagnostics.codes.artefacts import FILE_ELSEWHERE, MISSING_ARTEFACT, UNREADABLE_ARTEFACT
from graphc.regular_files import NoFileError


def check_place(folder: Path, location: str) -> ArtefactFault | None:
    """Return what is wrong with where a file lies that a graph in a folder names: a link must not lead out of it.

    A path that begins with `..` or a slash says itself where it lies: no link leads out from there.
    """
    parts = PurePosixPath(posixpath.normpath(location)).parts
    above = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    root = folder.joinpath(*parts[:above]) if parts[:1] != ("/",) else PurePosixPath(location).parent
    return _check_inside(Path(root), folder / location, f"`{location}`", "the graph's")


def check_beside(model: Path, name: str) -> ArtefactFault | None:
    """Return what is wrong with where a further file of a model lies: no link leads out of the model's own folder."""
    called = f"`{model.name}` has weights in another file, and `{name}`"
    return _check_inside(model.parent, model.parent / name, called, "the model's")


def _check_inside(root: Path, path: Path, called: str, whose: str) -> ArtefactFault | None:
    try:
        is_inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        return ArtefactFault(MISSING_ARTEFACT, f"{called} is a link that leads nowhere")
    if is_inside:
        return None
    message = f"{called} is a link to a file outside {whose} folder"
    return ArtefactFault(FILE_ELSEWHERE, message, "copy the file itself there")


def tell_failure(error: OSError, called: str) -> ArtefactFault:
    """Return the fault of a file that was not opened or not read."""
    if isinstance(error, NoFileError):
        return ArtefactFault(MISSING_ARTEFACT, f"`{called}` is {error}, not a file")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ArtefactFault(MISSING_ARTEFACT, f"there is no file `{called}`")
    reason = (error.strerror or "no reason is given").lower()
    return ArtefactFault(UNREADABLE_ARTEFACT, f"`{called}` cannot be read: {reason}")


def names_beside(path: Path) -> list[str]:
    """Return the names of what lies beside a path."""
    try:
        return sorted(each.name for each in os.scandir(path.parent))
    except OSError:
        return []
