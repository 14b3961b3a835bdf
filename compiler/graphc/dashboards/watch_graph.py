"""Reads what there is to watch of a graph off its plans, its rollout and what is emitted of it."""

from typing import Final

from graphc.compile.pipeline import CheckedGraph
from graphc.dashboards.find_meters import find_local, find_meters
from graphc.dashboards.watched import Watched, WatchedUnit, WatchedVersion
from graphc.ir.graph import ComponentWork, ModelWork, Node, PythonWork, ServerWork
from graphc.ir.plan import Plan, Unit

_COUNTED: Final = (ModelWork, ComponentWork, PythonWork, ServerWork)
"""The work whose tries a unit counts: choosing and merging rows is no try."""


def watch_graph(graph: CheckedGraph, namespace: str | None, *, is_local: bool) -> Watched:
    """Return what there is to watch of a graph in which nothing is wrong."""
    fields = graph.spec.fields
    documents = graph.emission.documents if graph.emission else ()
    named = namespace or fields.metadata.namespace
    compared = fields.compare is not None and fields.compare.url is not None
    versions = [_watch(graph, name, plan, named, is_local=is_local) for name, plan in graph.plans.items()]
    assert documents, "a graph in which nothing is wrong has documents"
    return Watched(
        fields.metadata.name,
        None if is_local else named,
        tuple(versions),
        is_compared=compared and not is_local and len(versions) > 1,
    )


def _watch(
    graph: CheckedGraph, predictor: str, plan: Plan, namespace: str | None, *, is_local: bool
) -> WatchedVersion:
    assert graph.emission is not None
    units = list(plan.root.walk())
    names = [unit.name for unit in units]
    name = graph.spec.fields.metadata.name
    meters = (
        find_local(predictor if len(graph.plans) > 1 else None)
        if is_local
        else find_meters(graph.emission.documents, name, namespace, predictor, names)
    )
    said = (graph.spec.fields.predictors or {}).get(predictor)
    is_shadow = said is not None and said.shadow
    share = "shadow" if is_shadow else f"{said.traffic} %" if said and said.traffic is not None else ""
    return WatchedVersion(
        predictor,
        share,
        is_shadow,
        *meters,
        deadline_ms=plan.deadline_ms,
        units=tuple(_unit(plan, unit) for unit in units),
    )


def _unit(plan: Plan, unit: Unit) -> WatchedUnit:
    nodes = [node for node in unit.region.nodes if isinstance(node.work, _COUNTED)]
    return WatchedUnit(
        unit.name,
        tuple(node.name for node in nodes),
        tuple(node.name for node in nodes if node.guards),
        any(map(_stands_in, nodes)),
        plan.batch_of(unit) is not None,
    )


def _stands_in(node: Node) -> bool:
    policy = node.policy
    return policy.skip or bool(policy.defaults) or bool(policy.fallback) or policy.failed is not None
