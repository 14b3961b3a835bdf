"""Rules about nodes that ask other servers."""

from typing import Final

from graphc.diagnostics.model import error, warning

DATATYPE_NOT_CARRIED: Final = error(
    "GC561", "datatype-not-carried", "A tensor has a datatype that the protocol of its server cannot carry."
)
UNNAMED_INPUT: Final = error(
    "GC562",
    "unnamed-server-input",
    "A node feeds a server a tensor, and does not say what the server calls it.",
)
USELESS_VERSION: Final = error(
    "GC563", "useless-version", "A node asks for a version of a model where no client of its server can."
)
OPEN_TOKEN: Final = warning(
    "GC564", "open-token", "A node sends a token over plain HTTP, where all on the way can read it."
)
