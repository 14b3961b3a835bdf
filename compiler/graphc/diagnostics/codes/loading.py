"""GC536 to GC539: what shows only when a node is loaded and run."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

DOES_NOT_LOAD: Final = error("GC536", "does-not-load", "A node cannot be loaded as its unit would load it.")
FAILS_WHEN_RUN: Final = warning("GC537", "fails-when-run", "A node fails on inputs that were made up for it.")
ANSWERS_OTHERWISE: Final = error(
    "GC538", "answers-otherwise", "A node gives another datatype or shape than the graph says."
)
NOT_JUDGED: Final = error("GC539", "not-judged", "No check has seen that a node loads and runs.")
