"""Predictors: the versions of a graph, each the graph with some fields of its nodes changed."""

from collections.abc import Mapping
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.rollout import (
    OVERRIDES_UNKNOWN,
    SECOND_SHADOW,
    SHADOW_ALONE,
    SHADOW_TRAFFIC,
    TRAFFIC_SUM,
)
from graphc.diagnostics.suggest import nearest
from graphc.source.located import Entry, Fields, Located
from graphc.spec.model import NODE_KINDS, Predictor
from graphc.spec.read import GraphSpec

DEFAULT: Final = "main"
"""The name of the one predictor of a graph that names none."""

_KIND_FIELDS: Final = frozenset(NODE_KINDS)


def predictors_of(spec: GraphSpec) -> Mapping[str, Predictor]:
    """Return the predictors by name; one that takes all where the graph names none."""
    return spec.fields.predictors or {DEFAULT: Predictor.model_validate({"traffic": 100})}


def check_predictors(spec: GraphSpec, sink: Sink) -> None:
    """Report traffic that does not sum to 100, shadows that cannot be, and changes of unknown nodes."""
    predictors = predictors_of(spec)
    live = {name: each for name, each in predictors.items() if not each.shadow}
    shadows = [name for name, each in predictors.items() if each.shadow]
    if not live:
        message = "every predictor is a shadow, so nothing answers"
        sink.report(Diagnostic(SHADOW_ALONE, message, spec.at("predictors", key=True)))
    for name in shadows[1:]:
        message = f"`{name}` is a second shadow beside `{shadows[0]}`, and Seldon takes one"
        sink.report(Diagnostic(SECOND_SHADOW, message, spec.at("predictors", name, "shadow")))
    for name in shadows:
        if predictors[name].traffic:
            message = f"the shadow `{name}` asks for traffic; it gets a copy of the requests"
            at = spec.at("predictors", name, "traffic")
            sink.report(Diagnostic(SHADOW_TRAFFIC, message, at, "leave `traffic` out"))
    _check_traffic(spec, live, sink)
    for name, predictor in predictors.items():
        for node in predictor.nodes:
            if node not in spec.nodes:
                close = nearest(node, spec.nodes)
                at = spec.at("predictors", name, "nodes", node, key=True)
                message = f"`{name}` changes `{node}`, which is not a node"
                hint = f"did you mean `{close}`?" if close else f"add `{node}` to the graph's own nodes"
                sink.report(Diagnostic(OVERRIDES_UNKNOWN, message, at, hint))


def _check_traffic(spec: GraphSpec, live: Mapping[str, Predictor], sink: Sink) -> None:
    if len(live) == 1:
        name, only = next(iter(live.items()))
        if only.traffic not in {None, 100}:
            message = f"`{name}` is the only live predictor and gets {only.traffic} % of the traffic, not 100"
            sink.report(Diagnostic(TRAFFIC_SUM, message, spec.at("predictors", name, "traffic")))
        return
    total = sum(predictor.traffic or 0 for predictor in live.values())
    if live and total != 100 and not spec.broken & live.keys():
        message = f"the traffic of the live predictors sums to {total}, not 100"
        sink.report(Diagnostic(TRAFFIC_SUM, message, spec.at("predictors", key=True)))


def overlay(root: Fields, predictor: str) -> Fields:
    """Return the document as a predictor has it: fields of its nodes replaced, mappings joined key by key."""
    changes = _find(root, "predictors", predictor, "nodes")
    nodes = root.find("nodes")
    if not isinstance(changes, Fields) or nodes is None:
        return root
    merged = Entry("nodes", nodes.key_span, _merge_nodes(nodes.value, changes))
    return Fields(tuple(merged if entry.key == "nodes" else entry for entry in root.entries), root.span)


def _find(value: Located, *path: str) -> Located | None:
    for step in path:
        entry = value.find(step) if isinstance(value, Fields) else None
        if entry is None:
            return None
        value = entry.value
    return value


def _merge_nodes(nodes: Located, changes: Fields) -> Located:
    if not isinstance(nodes, Fields):
        return nodes
    entries = [
        Entry(entry.key, entry.key_span, _merge_node(entry.value, change.value)) if change else entry
        for entry in nodes.entries
        for change in (changes.find(entry.key),)
    ]
    return Fields(tuple(entries), nodes.span)


def _merge_node(node: Located, change: Located) -> Located:
    """Join a node with its change; a change of what the node is replaces the node."""
    if not isinstance(node, Fields) or not isinstance(change, Fields):
        return change
    kinds = {entry.key for entry in change.entries} & _KIND_FIELDS
    if kinds and not kinds & {entry.key for entry in node.entries}:
        return change
    return _merge(node, change)


def _merge(old: Fields, new: Fields) -> Fields:
    entries = {entry.key: entry for entry in old.entries}
    for entry in new.entries:
        before = entries.get(entry.key)
        both = before is not None and isinstance(before.value, Fields) and isinstance(entry.value, Fields)
        # `in` and `out` say together what a node reads and makes: they are replaced, not joined.
        joined = both and entry.key not in {"in", "out"}
        value = _merge(before.value, entry.value) if joined else entry.value  # pyright: ignore
        entries[entry.key] = Entry(entry.key, entry.key_span, value)
    return Fields(tuple(entries.values()), old.span)
