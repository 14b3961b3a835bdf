"""Puts the nodes into an order in which they can run."""

from graphc.frontend.draft import Draft
from graphc.frontend.resolve import Resolved
from graphc.ir.order import find_cycles, find_needed, sort_topologically
from graphc.records import record


@record
class Circles:
    """There is no such order: nodes read each other, a shortest circle for each knot of them."""

    each: tuple[tuple[str, ...], ...]


def order_nodes(draft: Draft, resolved: Resolved) -> tuple[str, ...] | Circles:
    """Return the nodes in a runnable order."""
    reads = resolved.reads(draft.spec.fields.inputs)
    cycles = find_cycles(reads)
    return Circles(tuple(map(tuple, cycles))) if cycles else tuple(sort_topologically(reads))


def find_needed_nodes(draft: Draft, resolved: Resolved) -> set[str]:
    """Return the nodes that some output needs."""
    inputs = draft.spec.fields.inputs
    wanted = {use.tensor.partition(".")[0] for use in resolved.outputs if use.tensor not in inputs}
    return find_needed(resolved.reads(inputs), wanted)
