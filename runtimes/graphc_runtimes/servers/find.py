"""The dialect of each kind of server; a module is imported where a node needs it."""

from importlib import import_module
from typing import Final, cast

from graphc_components.servers import SERVERS

from graphc_runtimes.errors import LoadError
from graphc_runtimes.servers.dialect import Asked, Dialect

_MODULES: Final = {"triton": "v2", "mlserver": "v2"}
"""The modules of kinds that share one; the others have one of their own name."""


def find_dialect(kind: str, asked: Asked) -> Dialect:
    """Return how a kind of server is asked for a model; raises LoadError for a kind that there is not."""
    if kind not in SERVERS:
        raise LoadError(f"`{kind}` is not a kind of server that this runtime can ask")
    module = import_module(f"graphc_runtimes.servers.{_MODULES.get(kind, kind)}")
    return cast("Dialect", module.make_dialect(asked))
