"""Checks that combiners which go on with a quorum can see their tensors come."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import PARTED_QUORUM
from graphc.ir.graph import Graph
from graphc.ir.plan import Plan
from graphc.lower.partition import find_quorums


def check_quorums(plan: Plan, _: Graph, sink: Sink) -> None:
    """Report combiners that wait for a quorum only, and have tensors from other units.

    An engine calls a unit when all that are before it have answered.
    """
    units = {node.name: unit for unit in plan.root.walk() for node in unit.region.nodes}
    every = [node for unit in plan.root.walk() for node in unit.region.nodes]
    for combiner, waited in find_quorums(every):
        parted = next((node for node in waited if units[node.name] is not units[combiner.name]), None)
        if parted is not None:
            message = f"`{combiner.origin}` goes on with a quorum, and `{parted.origin}` runs in another unit"
            hint = "let them share a `unit`, or leave out `wait: quorum`"
            sink.report(Diagnostic(PARTED_QUORUM, message, combiner.at, hint))
