"""Checks the shape of the flow: cycles, nodes that nothing needs, inputs that nobody reads."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import CYCLE, DEAD_NODE, UNUSED_INPUT
from graphc.frontend.draft import Draft
from graphc.frontend.order_nodes import Circles
from graphc.frontend.resolve import Resolved


def check_circles(draft: Draft, circles: Circles, sink: Sink) -> None:
    """Report nodes that read each other in a circle."""
    for cycle in circles.each:
        way = " -> ".join(f"`{name}`" for name in [*cycle, cycle[0]])
        message = f"the nodes read each other in a circle: {way}"
        if len(cycle) == 1:
            message = f"`{cycle[0]}` reads itself"
        sink.report(Diagnostic(CYCLE, message, draft.nodes[cycle[0]].at))


def check_needed(draft: Draft, resolved: Resolved, needed: set[str], sink: Sink) -> None:
    """Report nodes that are not needed, and inputs that nobody reads."""
    if sink.has_errors:
        return  # what is not resolved makes the rest look unused
    for name in sorted(draft.nodes.keys() - needed):
        message = f"no output depends on `{name}`, so it is left out"
        sink.report(Diagnostic(DEAD_NODE, message, draft.nodes[name].at))
    # What only a node that is left out reads is unused because of that, which is said.
    read = {use.tensor for use in resolved.outputs} | {
        use.tensor for uses in resolved.uses.values() for use in uses
    }
    for name in draft.spec.fields.inputs:
        if name not in read:
            at = draft.spec.at("inputs", name, key=True)
            sink.report(Diagnostic(UNUSED_INPUT, f"nothing reads the input `{name}`", at))
