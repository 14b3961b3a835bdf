"""Reports what Seldon does not do as a graph file asks, and a file may allow."""

from typing import Final

from graphc_components.tensors import CONTENTS

from graphc.diagnostics import Diagnostic, Rule, Sink, Span
from graphc.diagnostics.codes.limits import CALL_TENSOR, CALLS_END_EXECUTOR, STREAM_LOST
from graphc.ir.plan import Plan
from graphc.targets.interface import Deployable
from graphc.targets.routes.routing import Routing
from graphc.targets.seldon.routing import needs_engine, route_seldon

LOSSES: Final[tuple[Rule, ...]] = (CALL_TENSOR, CALLS_END_EXECUTOR, STREAM_LOST)
"""What is reported here."""

_LET_SHARE: Final = (
    "let the nodes share a `unit`, say `placement: fused`, or cast the tensor before it is passed on"
)


def check_losses(deployable: Deployable, sink: Sink) -> None:
    """Report what is lost where Seldon's executor stands: gRPC but for chains of models, and answers in parts."""
    if needs_engine(deployable):
        _check_streams(deployable, sink)
    if deployable.settings.calls_at is not None:
        for version in deployable.versions:
            _check_tensors(version.plan, deployable.settings.calls_at, sink)
    if deployable.is_for_cluster:
        routing = route_seldon(deployable)
        if routing.is_ours:
            _check_route(routing, sink)


def _check_streams(deployable: Deployable, sink: Sink) -> None:
    told = set[str]()
    for version in deployable.versions:
        for node in (node for unit in version.plan.root.walk() for node in unit.region.nodes):
            if node.streams and node.origin not in told:
                told.add(node.origin)
                message = f"`{node.origin}` streams, and Seldon's executor, which has to stand before the graph, cannot"
                hint = "say `target: kubernetes`, or keep the graph in one unit: `placement: fused`"
                sink.report(Diagnostic(STREAM_LOST, message, node.at, hint))


def _check_tensors(plan: Plan, at: Span, sink: Sink) -> None:
    """Report tensors between units that have no typed contents: raw ones are lost on the way."""
    told = set[str]()
    for unit in plan.root.walk():
        for wire in () if unit.is_last else unit.answers:
            datatype = wire.type.datatype
            if datatype not in CONTENTS and wire.tensor not in told:
                told.add(wire.tensor)
                message = f"`{wire.tensor}` is {datatype}, which gRPC cannot carry from `{unit.name}` to the next unit"
                sink.report(Diagnostic(CALL_TENSOR, message, at, _LET_SHARE))


def _check_route(routing: Routing, sink: Sink) -> None:
    """Say that no route leads gRPC to an executor that would end of it."""
    ends = [name for name, each in routing.predictors.items() if each.calls == "none"]
    wanted = routing.ingress.kind == "istio" or routing.ingress.grpc_host is not None
    if ends and wanted:
        message = f"no route leads gRPC to `{routing.graph}`: one call would end the executor of `{ends[0]}`"
        hint = (
            "say `transport: grpc`, which runs units one after another, or keep it in one: `placement: fused`"
        )
        sink.report(Diagnostic(CALLS_END_EXECUTOR, message, routing.at, hint))
