"""GC1xx: the fields of a graph file."""

from typing import Final

from graphc.diagnostics.diagnostic import error

WRONG_KIND: Final = error("GC101", "wrong-kind", "A value is of another kind than its field takes.")
UNKNOWN_FIELD: Final = error("GC102", "unknown-field", "A field has a name that is not in the language.")
MISSING_FIELD: Final = error("GC103", "missing-field", "A field that has to be there is absent.")
BAD_VALUE: Final = error("GC104", "bad-value", "A value is of the right kind and cannot be used.")
NOT_A_CHOICE: Final = error("GC105", "not-a-choice", "A value is not one of those that its field takes.")
NODE_KIND: Final = error("GC106", "node-kind", "A node says not exactly one thing that it is.")
NOT_A_GRAPH: Final = error(
    "GC107", "not-a-graph", "A document is not an InferenceGraph of a version known here."
)
DUPLICATE_NAME: Final = error(
    "GC108", "duplicate-name", "Two things that clients or nodes name have one name."
)
UNKNOWN_COMPONENT: Final = error("GC109", "unknown-component", "A component is not in the catalog.")
BAD_PARAMETER: Final = error(
    "GC110", "bad-parameter", "A component's parameter is unknown, missing or unusable."
)
BAD_BRANCH: Final = error(
    "GC111",
    "bad-branch",
    "A router or cascade, or a branch of it, has not the conditions that it decides by.",
)
