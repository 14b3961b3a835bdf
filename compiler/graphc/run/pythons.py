"""The Python that units run in: this one, or that of an environment with what the graph requires."""

import os
from collections.abc import Mapping
from pathlib import Path

from graphc.caching import cache_root
from graphc.packages.requirements import Requirements
from graphc.run.console import RunConsole
from graphc.run.problem import Findings


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
        from graphc.packages.provide import provide_python

        try:
            found[predictor] = provide_python(each, folder, console.waiting)
        except (PackageError, OSError) as failure:
            findings.refuse(f"the packages of `{predictor}` cannot be had: {failure}")
    return found
