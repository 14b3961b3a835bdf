"""Predictors: the versions of a graph, each the graph with some fields of its nodes changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.rollout import (
    MIRROR_ALONE,
    NOT_EVERY_REQUEST,
    OVERRIDES_UNKNOWN,
    SHADOW_ALONE,
    SHADOW_CONDITION,
    SHADOW_TRAFFIC,
    TRAFFIC_SUM,
    UNKNOWN_PARAMETER,
    VERSION_TWICE,
)
from graphc.diagnostics.suggest import nearest
from graphc.rollout.model import ALL, Match, Mirror, Rollout, Share, order_ways
from graphc.source.located import Entry, Fields, Located
from graphc.spec.model import NODE_KINDS, Predictor
from graphc.spec.read import GraphSpec

DEFAULT: Final = "main"
"""The name of the one predictor of a graph that names none."""

_KIND_FIELDS: Final = frozenset(NODE_KINDS)
_OVERLAID: Final = frozenset({"nodes", "outputs", "resources", "runtime", "deadline"})
"""Fields of the graph that a predictor may have otherwise; `outputs` and `deadline` replace the graph's."""


def predictors_of(spec: GraphSpec) -> Mapping[str, Predictor]:
    """Return the predictors by name; one that takes all where the graph names none."""
    return spec.fields.predictors or {DEFAULT: Predictor.model_validate({"traffic": 100})}


def check_predictors(spec: GraphSpec, declared: Collection[str], sink: Sink) -> None:
    """Report traffic that does not sum to 100, shadows that cannot be, and changes of unknown things."""
    predictors = predictors_of(spec)
    live = {name: each for name, each in predictors.items() if not each.shadow}
    if not live:
        message = "every predictor is a shadow, so nothing answers"
        sink.report(Diagnostic(SHADOW_ALONE, message, spec.at("predictors", key=True)))
    broken = _find_broken(spec)
    for name, predictor in predictors.items():
        if predictor.shadow:
            _check_shadow(spec, name, predictor, sink)
        elif predictor.mirror is not None and name not in broken:
            message = f"`{name}` is no shadow, and has a mirrored share"
            hint = "say `shadow: true`, or give it `traffic`"
            sink.report(Diagnostic(MIRROR_ALONE, message, spec.at("predictors", name, "mirror"), hint))
    _check_versions(spec, predictors, sink)
    if not broken:  # what such a one gets is not known
        _check_traffic(spec, live, sink)
    _check_conditions(spec, live, sink)
    for name, predictor in predictors.items():
        _check_changes(spec, name, predictor, declared, sink)


def _find_broken(spec: GraphSpec) -> frozenset[str]:
    """Return the predictors of which something could not be read, which is reported."""
    written = _find(spec.root, "predictors")
    names = (entry.key for entry in written.entries) if isinstance(written, Fields) else ()
    return spec.broken.intersection(names)


def _check_versions(spec: GraphSpec, predictors: Mapping[str, Predictor], sink: Sink) -> None:
    """Report a version's other name that is another one's."""
    known = {name: name for name in predictors}
    for name, predictor in predictors.items():
        if predictor.version is None or predictor.version == name:
            continue
        if predictor.version in known:
            message = f"the version `{predictor.version}` of `{name}` is `{known[predictor.version]}` already"
            sink.report(Diagnostic(VERSION_TWICE, message, spec.at("predictors", name, "version")))
        known[predictor.version] = name


def _check_shadow(spec: GraphSpec, name: str, predictor: Predictor, sink: Sink) -> None:
    if predictor.traffic:
        message = f"the shadow `{name}` asks for traffic; it gets a copy of the requests"
        at = spec.at("predictors", name, "traffic")
        hint = "leave `traffic` out; `mirror: 10` copies one request in ten"
        sink.report(Diagnostic(SHADOW_TRAFFIC, message, at, hint))
    if predictor.when is not None:
        message = f"the shadow `{name}` says which requests it answers, and answers none"
        sink.report(Diagnostic(SHADOW_CONDITION, message, spec.at("predictors", name, "when", key=True)))


def _check_traffic(spec: GraphSpec, live: Mapping[str, Predictor], sink: Sink) -> None:
    found: list[Diagnostic] = []
    missing = 0
    for match, names in _group(live).items():
        if len(names) == 1:
            only = live[names[0]]
            missing += 100 - _weight(only)
            found += filter(None, [_describe_alone(spec, names[0], only, match, len(live))])
            continue
        total = sum(live[name].traffic or 0 for name in names)
        missing += 100 - total
        if total != 100:
            which = "of the live predictors" if match == Match() else f"of the predictors {_listed(names)}"
            message = f"the traffic {which} sums to {total}, not 100"
            place = ("predictors",) if match == Match() else ("predictors", names[-1], "traffic")
            found.append(Diagnostic(TRAFFIC_SUM, message, spec.at(*place, key=match == Match())))
    # Where whole shares are missing all in all, one predictor is not among those whose `when` it should have.
    for diagnostic in found[:1] if missing % 100 == 0 else found:
        sink.report(diagnostic)


def _describe_alone(
    spec: GraphSpec, name: str, only: Predictor, match: Match, count: int
) -> Diagnostic | None:
    if only.traffic in {None, 100}:
        return None
    which = "only live predictor" if count == 1 else "only one without a `when`"
    which = which if match == Match() else "only one with its `when`"
    message = f"`{name}` is the {which} and gets {only.traffic} % of the traffic, not 100"
    return Diagnostic(TRAFFIC_SUM, message, spec.at("predictors", name, "traffic"))


def _group(live: Mapping[str, Predictor]) -> dict[Match, list[str]]:
    groups: dict[Match, list[str]] = {}
    for name, predictor in live.items():
        groups.setdefault(_match(predictor), []).append(name)
    return groups


def _match(predictor: Predictor) -> Match:
    if predictor.when is None:
        return Match()
    headers = sorted((name.lower(), value) for name, value in predictor.when.header.items())
    return Match(predictor.when.path, tuple(headers))


def _check_conditions(spec: GraphSpec, live: Mapping[str, Predictor], sink: Sink) -> None:
    """Report headers beside which nothing answers the requests without them; URLs may each have their own."""
    groups = _group(live)
    for match, names in groups.items():
        if match.headers and Match(match.path) not in groups:
            where = "" if match.path is None else f" below `/{match.path}`"
            message = f"no predictor answers requests{where} without the headers of `{names[0]}`"
            at = spec.at("predictors", names[0], "when", "header", key=True)
            sink.report(Diagnostic(NOT_EVERY_REQUEST, message, at, "leave `when` out for one predictor"))


def _check_changes(
    spec: GraphSpec, name: str, predictor: Predictor, declared: Collection[str], sink: Sink
) -> None:
    for node in predictor.nodes:
        if node not in spec.nodes and node not in spec.broken:
            close = nearest(node, spec.nodes)
            at = spec.at("predictors", name, "nodes", node, key=True)
            message = f"`{name}` changes `{node}`, which is not a node"
            hint = f"did you mean `{close}`?" if close else f"add `{node}` to the graph's own nodes"
            sink.report(Diagnostic(OVERRIDES_UNKNOWN, message, at, hint))
    for parameter in predictor.parameters:
        if parameter not in declared:
            close = nearest(parameter, declared)
            at = spec.at("predictors", name, "parameters", parameter, key=True)
            message = f"`{name}` sets `{parameter}`, which is not a declared parameter"
            hint = f"did you mean `{close}`?" if close else f"declare `{parameter}` in `parameters:`"
            sink.report(Diagnostic(UNKNOWN_PARAMETER, message, at, hint))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"


def rollout_of(spec: GraphSpec) -> Rollout:
    """Return how the requests are shared among predictors in which nothing was found wrong."""
    predictors = predictors_of(spec)
    groups = _group({name: each for name, each in predictors.items() if not each.shadow})
    shares = {
        match: tuple(Share(name, _weight(predictors[name], len(names))) for name in names)
        for match, names in groups.items()
    }
    mirrors = (
        Mirror(name, ALL if each.mirror is None else each.mirror)
        for name, each in predictors.items()
        if each.shadow
    )
    sticky = spec.fields.sticky
    return Rollout(order_ways(shares), tuple(mirrors), sticky.header.lower() if sticky else None)


def _weight(predictor: Predictor, count: int = 1) -> int:
    """Return a predictor's percent of what `count` of them share; all where it is alone and says nothing."""
    if predictor.traffic is None:
        return ALL if count == 1 else 0
    return predictor.traffic


def main_predictor(spec: GraphSpec) -> str:
    """Return the predictor that the others are compared with: the live one with the most requests."""
    predictors = predictors_of(spec)
    live = {name: each for name, each in predictors.items() if not each.shadow}
    counts = {name: len(names) for names in _group(live).values() for name in names}
    return max(live, key=lambda name: (live[name].when is None, _weight(live[name], counts[name])))


def set_parameters(document: Fields, predictor: str) -> Fields:
    """Return the document with a predictor's values as the parameters' only ones."""
    given, declared = _find(document, "predictors", predictor, "parameters"), document.find("parameters")
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
    changes = _find(root, "predictors", predictor)
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


def _find(value: Located, *path: str) -> Located | None:
    for step in path:
        entry = value.find(step) if isinstance(value, Fields) else None
        if entry is None:
            return None
        value = entry.value
    return value


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
    if sum(entry.key in _KIND_FIELDS for entry in node.entries) != 1:
        return node
    kinds = {entry.key for entry in change.entries} & _KIND_FIELDS
    if kinds and not kinds & {entry.key for entry in node.entries}:
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
