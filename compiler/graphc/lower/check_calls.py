"""Checks that what passes between units can pass Seldon's executor over gRPC, where a graph is to be called so."""

from typing import Final

from graphc_components.tensors import CONTENTS

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import CALL_TENSOR
from graphc.ir.graph import Graph
from graphc.ir.plan import Plan

_HELP: Final = (
    "let the nodes share a `unit`, say `placement: fused`, or cast the tensor before it is passed on"
)


def check_calls(plan: Plan, graph: Graph, sink: Sink) -> None:
    """Report tensors between units that have no typed contents: raw ones are lost on the way."""
    if graph.calls_at is None:
        return
    told = set[str]()
    for unit in plan.root.walk():
        for wire in () if unit.is_last else unit.answers:
            datatype = wire.type.datatype
            if datatype not in CONTENTS and wire.tensor not in told:
                told.add(wire.tensor)
                message = f"`{wire.tensor}` is {datatype}, which gRPC cannot carry from `{unit.name}` to the next unit"
                sink.report(Diagnostic(CALL_TENSOR, message, graph.calls_at, _HELP))
