"""Where a node's artefact lies."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from graphc_runtimes.environment import Environment
from graphc_runtimes.errors import LoadError


def find_file(path: str, environment: Environment, suffixes: Sequence[str]) -> Path:
    """Return an artefact's file; in a folder, the only file with one of the suffixes. Raises LoadError."""
    found = find(path, environment)
    if found.is_file():
        return found
    candidates = sorted(each for each in found.iterdir() if each.suffix in suffixes)
    if len(candidates) != 1:
        wanted = " or ".join(f"`{suffix}`" for suffix in suffixes)
        raise LoadError(f"the folder `{path}` has {len(candidates)} files that end in {wanted}, not one")
    return candidates[0]


def find(path: str, environment: Environment) -> Path:
    """Return an artefact's place on disk; raises LoadError."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise LoadError(f"the path `{path}` does not stay within the artefacts' folder")
    found = environment.artifacts / relative
    if not found.exists():
        raise LoadError(f"there is no `{path}` in `{environment.artifacts}`")
    return found
