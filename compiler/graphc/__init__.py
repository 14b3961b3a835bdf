"""A compiler for inference graphs.

`graphc.load("graph.yaml")` loads one to check, compile, call and serve; `from graphc.builder import Graph` builds one.
"""

from typing import TYPE_CHECKING

from graphc.version import VERSION

if TYPE_CHECKING:
    from graphc.api import GraphError, InferenceGraph, Problem, RequestFailedError, load

__version__ = VERSION

__all__ = ["GraphError", "InferenceGraph", "Problem", "RequestFailedError", "__version__", "load"]


def __getattr__(name: str) -> object:
    # The command line imports this package too, and starts quickly.
    if name in __all__:
        from graphc import api

        return getattr(api, name)
    raise AttributeError(f"module 'graphc' has no attribute {name!r}")
