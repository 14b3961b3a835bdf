"""GC3xx: the limits of the engine and of Kubernetes."""

from typing import Final

from graphc.diagnostics.diagnostic import error, warning

BAD_NAME: Final = error("GC301", "bad-name", "A name is not one that Kubernetes and the engine can use.")
LONG_NAME: Final = error("GC302", "long-name", "A name, or one made of it, is longer than the cluster takes.")
UNIT_CYCLE: Final = error(
    "GC303", "unit-cycle", "Nodes that have to share a unit depend on each other through others."
)
TOO_DEEP: Final = error(
    "GC304", "too-deep", "The graph needs more levels than the ten that a SeldonDeployment has."
)
UNIT_CONFLICT: Final = error(
    "GC305", "unit-conflict", "Nodes that share a unit ask for different containers."
)
TOO_LARGE: Final = error("GC306", "too-large", "A region's description is larger than a unit reads.")
NEEDS_SERVER_SIDE: Final = warning(
    "GC307",
    "needs-server-side",
    "A document is too large for an apply that keeps a copy of it in an annotation.",
)
EXECUTOR_FULL: Final = error(
    "GC308", "executor-full", "A predictor has more units than Seldon's executor can be told of."
)
PARTED_QUORUM: Final = error(
    "GC320", "parted-quorum", "A combiner that goes on with a quorum has its tensors from other units."
)
EXECUTOR_REFUSED: Final = error(
    "GC330", "executor-refused", "The graph needs Seldon's executor where its pods are refused."
)
CALL_TENSOR: Final = error(
    "GC331", "call-tensor", "A graph is to be called over gRPC, and a tensor between its units does not pass."
)
CALLS_END_EXECUTOR: Final = warning(
    "GC332", "calls-end-executor", "A gRPC route is left out, as one call would end Seldon's executor."
)
STREAM_LOST: Final = error(
    "GC333", "stream-lost", "A graph answers in parts, and Seldon's executor stands before it, which cannot."
)
NO_BATCH_ROWS: Final = error(
    "GC325", "no-batch-rows", "Requests are to run together whose rows cannot be told apart again."
)
NOT_ROWWISE: Final = error(
    "GC326", "not-rowwise", "Requests are to run together in a node whose answer may hang on the others."
)
