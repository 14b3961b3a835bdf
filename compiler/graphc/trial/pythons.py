"""The Python that a graph's nodes are tried in: this one, or that of an environment with what the graph requires."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

from graphc.caching import cache_root
from graphc.compile.pipeline import CheckedGraph
from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.loading import NOT_JUDGED
from graphc.packages.requirements import Requirements


def find_requirements(graph: CheckedGraph, version: str) -> Requirements:
    """Return what a version of a graph requires beyond the runtime image."""
    image = graph.emission.images.get(version) if graph.emission else None
    return image.requirements if image else Requirements()


class Pythons:
    """The Pythons of versions of graphs; each environment is made once."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._found = dict[Requirements, Path | None]()

    def find(self, required: Requirements, graph: CheckedGraph) -> Path | None:
        """Return the Python that has packages; None, with the reason in the sink, where they cannot be had."""
        if not required.each:
            return Path(sys.executable)
        if required not in self._found:
            self._found[required] = self._provide(required, graph)
        return self._found[required]

    def _provide(self, required: Requirements, graph: CheckedGraph) -> Path | None:
        # uv is asked, which most checks have no use for.
        from graphc.packages.problem import PackageError
        from graphc.packages.provide import provide_python

        root, at = cache_root(os.environ), graph.spec.at("requirements")
        if root is None:
            message = "nodes cannot be loaded here: there is no folder for environments"
            self._sink.report(Diagnostic(NOT_JUDGED, message, at, "name one in GRAPHC_CACHE_DIR"))
            return None
        try:
            return provide_python(required, root, nullcontext)
        except (PackageError, OSError) as failure:
            message = f"nodes cannot be loaded here: the packages that they require cannot be had: {failure}"
            self._sink.report(Diagnostic(NOT_JUDGED, message, at))
            return None
