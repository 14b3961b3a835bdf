"""The Python with what a graph requires, on this machine: found, or made of the lock that its image is made of."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from graphc.packages.environment import find_environment, make_environment
from graphc.packages.lock import lock_packages
from graphc.packages.requirements import Requirements


def provide_python(
    requirements: Requirements, folder: Path, waiting: Callable[[str], AbstractContextManager[object]]
) -> Path:
    """Return the Python; `waiting` is entered while something takes long. Raises PackageError, OSError."""
    # The lock of the image that the manifest names: what answers here is what answers there.
    with waiting("locking what the graph requires"):
        lock = lock_packages(requirements, "linux/amd64", folder)
    there = find_environment(lock, folder)
    if there is not None:
        return there
    with waiting("making an environment of what the graph requires"):
        return make_environment(lock, folder)
