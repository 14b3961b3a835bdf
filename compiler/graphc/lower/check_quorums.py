"""Checks that combiners which go on with a quorum can see their tensors come."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import PARTED_QUORUM
from graphc.graph import ComponentWork, Node
from graphc.plan import Plan, Region


def check_quorums(plan: Plan, sink: Sink) -> None:
    """Report combiners that wait for a quorum only, and have tensors from other units.

    The executor calls a unit when all that are before it have answered.
    """
    inputs = {name for name, _ in plan.inputs}
    for unit in plan.root.walk():
        for node in unit.region.nodes:
            parted = _find_parted(node, unit.region, inputs)
            if parted is not None:
                message = f"`{node.origin}` goes on with a quorum, and `{parted}` comes from another unit"
                hint = "let them share a `unit` and compile with -O1, or leave out `wait: quorum`"
                sink.report(Diagnostic(PARTED_QUORUM, message, node.at, hint))


def _find_parted(node: Node, region: Region, inputs: set[str]) -> str | None:
    if not (isinstance(node.work, ComponentWork) and node.work.waits_for_quorum):
        return None
    here = region.makes | inputs
    return next((use.tensor for use in node.uses if use.tensor not in here), None)
