"""Checks what nodes ask of their containers."""

from collections import defaultdict

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import UNIT_CONFLICT
from graphc.diagnostics.codes.rollout import REPLICAS_TWICE
from graphc.spec.model import Python
from graphc.spec.read import GraphSpec


def check_placement(spec: GraphSpec, sink: Sink) -> None:
    """Report replicas that are set twice, and nodes that share a unit and want different containers."""
    units: dict[str, list[str]] = defaultdict(list)
    for name, node in spec.nodes.items():
        if node.unit is not None:
            units[node.unit].append(name)
        scaling = node.autoscaling
        if scaling and node.replicas is not None:
            message = f"`{name}` sets `replicas` and `autoscaling`"
            sink.report(Diagnostic(REPLICAS_TWICE, message, spec.at("nodes", name, "replicas", key=True)))
        if scaling and scaling.min > scaling.max:
            message = f"`{name}` scales from {scaling.min} down to {scaling.max}"
            sink.report(Diagnostic(REPLICAS_TWICE, message, spec.at("nodes", name, "autoscaling")))
    for unit, names in units.items():
        _check_unit(spec, unit, names, sink)


def _check_unit(spec: GraphSpec, unit: str, names: list[str], sink: Sink) -> None:
    for field in ("resources", "replicas", "autoscaling", "image"):
        seen: dict[str, object] = {}
        for name in names:
            node = spec.nodes[name]
            value = (
                (node.image if isinstance(node, Python) else None)
                if field == "image"
                else getattr(node, field)
            )
            if value is None:
                continue
            first = next(iter(seen), None)
            if first is not None and seen[first] != value:
                message = f"`{name}` and `{first}` share the unit `{unit}` and differ in `{field}`"
                at = spec.at("nodes", name, field, key=True)
                sink.report(Diagnostic(UNIT_CONFLICT, message, at, "say it once, or part the units"))
            seen.setdefault(name, value)
