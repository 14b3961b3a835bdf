"""Predictors: the versions of a graph, each the graph with some fields of its nodes changed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from graphc.rollout.shares import ALL, Match, Mirror, Rollout, Share, order_ways
from graphc.source.located import Entry, Fields, Located, find_at
from graphc.spec.fields import Predictor, kinds_of
from graphc.spec.read_spec import GraphSpec

DEFAULT: Final = "main"
"""The name of the one predictor of a graph that names none."""

_OVERLAID: Final = frozenset({"nodes", "outputs", "resources", "runtime", "deadline"})
"""Fields of the graph that a predictor may have otherwise; `outputs` and `deadline` replace the graph's."""


def predictors_of(spec: GraphSpec) -> Mapping[str, Predictor]:
    """Return the predictors by name; one that takes all where the graph names none."""
    return spec.fields.predictors or {DEFAULT: Predictor.model_validate({"traffic": 100})}


def group_live(live: Mapping[str, Predictor]) -> dict[Match, list[str]]:
    """Return the live predictors by the requests that they answer."""
    groups: dict[Match, list[str]] = {}
    for name, predictor in live.items():
        groups.setdefault(match_of(predictor), []).append(name)
    return groups


def match_of(predictor: Predictor) -> Match:
    """Return the requests that a predictor answers."""
    if predictor.when is None:
        return Match()
    headers = sorted((name.lower(), value) for name, value in predictor.when.header.items())
    return Match(predictor.when.path, tuple(headers))


def rollout_of(spec: GraphSpec) -> Rollout:
    """Return how the requests are shared among predictors in which nothing was found wrong."""
    predictors = predictors_of(spec)
    groups = group_live({name: each for name, each in predictors.items() if not each.shadow})
    shares = {
        match: tuple(Share(name, weight_of(predictors[name], len(names))) for name in names)
        for match, names in groups.items()
    }
    mirrors = (
        Mirror(name, ALL if each.mirror is None else each.mirror)
        for name, each in predictors.items()
        if each.shadow
    )
    sticky = spec.fields.sticky
    return Rollout(order_ways(shares), tuple(mirrors), sticky.header.lower() if sticky else None)


def weight_of(predictor: Predictor, count: int = 1) -> int:
    """Return a predictor's percent of what `count` of them share; all where it is alone and says nothing."""
    if predictor.traffic is None:
        return ALL if count == 1 else 0
    return predictor.traffic


def main_predictor(spec: GraphSpec) -> str:
    """Return the predictor that the others are compared with: the live one with the most requests."""
    predictors = predictors_of(spec)
    live = {name: each for name, each in predictors.items() if not each.shadow}
    counts = {name: len(names) for names in group_live(live).values() for name in names}
    return max(live, key=lambda name: (live[name].when is None, weight_of(live[name], counts[name])))


def set_parameters(document: Fields, predictor: str) -> Fields:
    """Return the document with a predictor's values as the parameters' only ones."""
    given, declared = find_at(document, "predictors", predictor, "parameters"), document.find("parameters")
    if declared is None or not isinstance(declared.value, Fields) or not isinstance(given, Fields):
        return document
    entries = tuple(
        replace(entry, value=_declare(entry.value, own.value)) if (own := given.find(entry.key)) else entry
        for entry in declared.value.entries
    )
    changed = replace(declared, value=Fields(entries, declared.value.span))
    return Fields(tuple(changed if each is declared else each for each in document.entries), document.span)


def _declare(old: Located, value: Located) -> Located:
    if not isinstance(old, Fields):
        return value
    kept = tuple(entry for entry in old.entries if entry.key not in {"default", "env"})
    return Fields((*kept, Entry("default", value.span, value)), old.span)


def overlay(root: Fields, predictor: str) -> Fields:
    """Return the document as a predictor has it: fields of its nodes replaced, mappings joined key by key."""
    changes = find_at(root, "predictors", predictor)
    if not isinstance(changes, Fields):
        return root
    entries = {entry.key: entry for entry in root.entries}
    for change in changes.entries:
        if change.key in _OVERLAID and (change.key != "nodes" or change.key in entries):
            before = entries.get(change.key)
            value = change.value if before is None else _overlay(change.key, before.value, change.value)
            key_span = change.key_span if before is None else before.key_span
            entries[change.key] = Entry(change.key, key_span, value)
    return Fields(tuple(entries.values()), root.span)


def _overlay(field: str, old: Located, new: Located) -> Located:
    if field == "nodes" and not (isinstance(old, Fields) and isinstance(new, Fields)):
        return old  # what could not be read is reported where it stands
    if not isinstance(old, Fields) or not isinstance(new, Fields) or field == "outputs":
        return new
    return _merge_nodes(old, new) if field == "nodes" else _merge(old, new)


def _merge_nodes(nodes: Fields, changes: Fields) -> Fields:
    entries = [
        Entry(entry.key, entry.key_span, _merge_node(entry.value, change.value)) if change else entry
        for entry in nodes.entries
        for change in (changes.find(entry.key),)
    ]
    return Fields(tuple(entries), nodes.span)


def _merge_node(node: Located, change: Located) -> Located:
    """Join a node with its change; a change of what the node is replaces the node."""
    if not isinstance(node, Fields) or not isinstance(change, Fields):
        return node  # what could not be read is reported where it stands
    fields = [entry.key for entry in node.entries]
    if len(kinds_of(fields)) != 1:
        return node
    kinds = set(kinds_of([entry.key for entry in change.entries]))
    is_servers = kinds == {"model"} and "server" in fields
    if kinds and not kinds & {*fields} and not is_servers:
        return change
    if change.find("model") is not None:
        # A variant of one model says nothing of another.
        node = Fields(tuple(entry for entry in node.entries if entry.key != "cpu_model"), node.span)
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
