"""The Python that units run in: this one, or that of an environment with what the graph requires."""

import os
from collections.abc import Mapping
from pathlib import Path

from graphc.caching import cache_root
from graphc.local.console import RunConsole
from graphc.local.problem import Findings
from graphc.packages.requirements import Requirements


def find_pythons(
    requirements: Mapping[str, Requirements], console: RunConsole, findings: Findings
) -> dict[str, Path]:
    """Return the Python of each predictor that requires packages; an environment that is missing is made."""
    folder = cache_root(os.environ)
    if folder is None and requirements:
        findings.refuse("there is no folder for environments", "name one in GRAPHC_CACHE_DIR")
        return {}
    found = dict[str, Path]()
    for predictor, each in requirements.items():
        assert folder is not None
        # uv is asked, which most runs have no use for.
        from graphc.packages.problem import PackageError

        try:
            found[predictor] = _find(each, folder, console)
        except (PackageError, OSError) as failure:
            findings.refuse(f"the packages of `{predictor}` cannot be had: {failure}")
    return found


def _find(requirements: Requirements, folder: Path, console: RunConsole) -> Path:
    from graphc.packages.environment import find_environment, make_environment
    from graphc.packages.lock import lock_packages

    # The lock of the image that the manifest names: what answers here is what answers there.
    with console.waiting("locking what the graph requires"):
        lock = lock_packages(requirements, "linux/amd64", folder)
    there = find_environment(lock, folder)
    if there is not None:
        return there
    with console.waiting("making an environment of what the graph requires"):
        return make_environment(lock, folder)
