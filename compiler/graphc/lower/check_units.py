"""Checks that the units which placements ask for can run one after the other."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import UNIT_CYCLE
from graphc.ir.graph import Graph
from graphc.lower.partition import Entangled


def check_units(graph: Graph, found: Entangled, sink: Sink) -> None:
    """Report each circle in which units wait for each other."""
    groups = found.groups
    for cycle in found.circles:
        unit = next(group for group in cycle if group.startswith("unit "))
        turned = [*cycle[cycle.index(unit) :], *cycle[: cycle.index(unit)], unit]
        origins = {groups[node.name]: node.origin for node in graph.nodes}
        names = [group[5:] if group.startswith("unit ") else origins[group] for group in turned]
        way = " -> ".join(f"`{name}`" for name in names)
        message = f"the unit `{names[0]}` would have to run before and after others: {way}"
        others = [name for name, group in zip(names, turned, strict=True) if group.startswith("node ")]
        hint = (
            f"part the unit in two, or give `{others[0]}` the same unit" if others else "part the unit in two"
        )
        first = next(node for node in graph.nodes if groups[node.name] == unit)
        sink.report(Diagnostic(UNIT_CYCLE, message, first.at, hint))
