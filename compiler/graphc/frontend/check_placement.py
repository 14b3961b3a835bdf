"""Checks what nodes ask of their containers."""

from collections import defaultdict
from collections.abc import Mapping

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.artefacts import USELESS_VARIANT
from graphc.diagnostics.codes.flow import UNKNOWN_NODE
from graphc.diagnostics.codes.limits import UNIT_CONFLICT
from graphc.diagnostics.codes.rollout import REPLICAS_TWICE
from graphc.diagnostics.suggest import nearest
from graphc.spec.fields import AnyNode, Model, Python
from graphc.spec.read_spec import GraphSpec


def check_placement(spec: GraphSpec, sink: Sink) -> None:
    """Report replicas that are set twice, and nodes that share a unit and want different containers."""
    units: dict[str, list[str]] = defaultdict(list)
    _check_grouping(spec, sink)
    named = spec.fields.placement.units
    for name, node in spec.nodes.items():
        unit = node.unit or named.get(name)
        if unit is not None:
            units[unit].append(name)
        if node.autoscaling and node.replicas is not None:
            message = f"`{name}` has `replicas` and `autoscaling`"
            at = spec.at("nodes", name, "replicas", key=True)
            sink.report(Diagnostic(REPLICAS_TWICE, message, at, "keep one of them"))
    for unit, names in units.items():
        _check_unit(spec, unit, names, sink)
    _check_variants(spec, units, sink)
    _check_replicas(spec, sink)


def _check_variants(spec: GraphSpec, units: Mapping[str, list[str]], sink: Sink) -> None:
    """Report models for processors in containers that never run on them, or on nothing else."""
    containers = {name: names for names in units.values() for name in names}
    for name, node in spec.nodes.items():
        if not isinstance(node, Model) or node.cpu_model is None:
            continue
        said = [spec.nodes[each].resources for each in containers.get(name, [name])]
        resources = next((each for each in said if each is not None), spec.fields.resources)
        gpu = resources.gpu if resources else None
        if gpu is not None and gpu.device != "gpu":
            continue
        why = "has to have a GPU" if gpu else "asks for no GPU"
        message = f"`{name}` names a `cpu_model`, and its container {why}"
        hint = "say `device: prefer-gpu`, or leave `cpu_model` out" if gpu else "name it as the `model`"
        sink.report(Diagnostic(USELESS_VARIANT, message, spec.at("nodes", name, "cpu_model"), hint))


def _check_replicas(spec: GraphSpec, sink: Sink) -> None:
    owners = {(): ("the graph", spec.fields)} | {
        ("predictors", name): (f"`{name}`", each) for name, each in spec.fields.predictors.items()
    }
    for path, (name, owner) in owners.items():
        if owner.autoscaling and owner.replicas is not None:
            message = f"{name} has `replicas` and `autoscaling`"
            at = spec.at(*path, "replicas", key=True)
            sink.report(Diagnostic(REPLICAS_TWICE, message, at, "keep one of them"))


def _check_grouping(spec: GraphSpec, sink: Sink) -> None:
    for name, unit in spec.fields.placement.units.items():
        node = spec.nodes.get(name)
        if node is None and name not in spec.broken:
            close = nearest(name, spec.nodes)
            message = f"`placement` names `{name}`, which is not a node"
            at = spec.at("placement", name, key=True)
            hint = f"did you mean `{close}`?" if close else None
            sink.report(Diagnostic(UNKNOWN_NODE, message, at, hint))
        if node and node.unit is not None and node.unit != unit:
            message = f"`{name}` says that its unit is `{node.unit}`, and `placement` says `{unit}`"
            sink.report(Diagnostic(UNIT_CONFLICT, message, spec.at("placement", name), "say it once"))


def _check_unit(spec: GraphSpec, unit: str, names: list[str], sink: Sink) -> None:
    seen: dict[tuple[str, ...], tuple[str, object]] = {}
    for name in names:
        for path, value in _said(spec.nodes[name]).items():
            first, before = seen.setdefault(path, (name, value))
            if before != value:
                message = f"`{name}` and `{first}` share the unit `{unit}` and differ in `{path[-1]}`"
                at = spec.at("nodes", name, *path, key=True)
                sink.report(Diagnostic(UNIT_CONFLICT, message, at, "say it once, or part the units"))


def _said(node: AnyNode) -> dict[tuple[str, ...], object]:
    """Return what a node says of its container, by the path of the field."""
    fields: dict[str, object] = {
        "resources": node.resources,
        "replicas": node.replicas,
        "autoscaling": node.autoscaling,
        "workers": node.workers,
        "batch": node.batch,
        "image": node.image if isinstance(node, Python) else None,
    }
    said: dict[tuple[str, ...], object] = {
        (name,): value for name, value in fields.items() if value is not None
    }
    return said | {("env", name): variable for name, variable in node.env.items()}
