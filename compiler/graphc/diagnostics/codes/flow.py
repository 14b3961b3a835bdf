"""GC2xx: how tensors flow, and their types."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

UNKNOWN_NODE: Final = error("GC201", "unknown-node", "A reference names neither a node nor a graph input.")
UNKNOWN_TENSOR: Final = error(
    "GC202", "unknown-tensor", "A reference names a tensor that its node does not have."
)
AMBIGUOUS: Final = error(
    "GC203", "ambiguous-tensor", "A reference names a node of several outputs, not one of them."
)
CYCLE: Final = error("GC204", "cycle", "Nodes read each other in a circle.")
DEAD_NODE: Final = warning("GC205", "dead-node", "No output of the graph depends on a node.")
UNUSED_INPUT: Final = warning("GC206", "unused-input", "No node and no output reads a graph input.")
FED_TWICE: Final = error("GC207", "fed-twice", "A combiner is fed one tensor twice.")
FAN_IN: Final = error("GC208", "fan-in", "A node that takes fewer tensors is fed several without a combiner.")
UNKNOWN_INPUT: Final = error("GC209", "unknown-input", "A node is fed an input that it does not have.")
MISSING_INPUT: Final = error("GC210", "missing-input", "An input of a node is not fed.")
WRONG_DATATYPE: Final = error("GC211", "wrong-datatype", "A tensor has another datatype than the node takes.")
WRONG_SHAPE: Final = error("GC212", "wrong-shape", "A tensor has another shape than the node takes.")
WRONG_INPUTS: Final = error("GC213", "wrong-inputs", "A component cannot work on the tensors that it is fed.")
UNDECLARED_OUTPUT: Final = error(
    "GC214", "undeclared-output", "A tensor's type is neither in the artefact nor declared."
)
ARITY: Final = warning("GC215", "arity", "A combiner has one tensor, and nothing to combine it with.")
BRANCHES_DISAGREE: Final = error("GC216", "branches-disagree", "Branches answer with other names or types.")
CONTRADICTION: Final = error("GC217", "contradiction", "A declared type is not the one in the artefact.")
NO_ROWS: Final = error("GC218", "no-rows", "A decision for each row meets a tensor that has no such rows.")
UNREACHABLE: Final = error("GC219", "unreachable", "A node reads nothing, so no request reaches it.")
UNREACHED_BRANCH: Final = warning("GC220", "unreached-branch", "A branch can never be taken.")
NO_OTHERWISE: Final = warning("GC221", "no-otherwise", "A router has no branch for some values.")
SKIPPED_NEEDED: Final = error(
    "GC230", "skipped-needed", "A node that may be skipped is read by something that needs it."
)
BAD_QUORUM: Final = error("GC231", "bad-quorum", "A node cannot do with the quorum that it asks for.")
BAD_DEFAULT: Final = error("GC232", "bad-default", "A default cannot stand for an output of its node.")
BAD_FALLBACK: Final = error("GC233", "bad-fallback", "A fallback cannot answer instead of its node.")
NOT_IDEMPOTENT: Final = error(
    "GC234", "not-idempotent", "A node is retried that is not known to do no harm when it runs twice."
)
PAST_DEADLINE: Final = error(
    "GC235", "past-deadline", "The timeouts along one way through the graph exceed its deadline."
)
