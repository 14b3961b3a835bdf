"""Checks predictors: their traffic, shadows, conditions and changes."""

from collections.abc import Collection, Mapping, Sequence

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
from graphc.frontend.predictors import group_live, predictors_of, weight_of
from graphc.rollout.shares import Match
from graphc.source.located import Fields, find_at
from graphc.spec.fields import Predictor
from graphc.spec.read_spec import GraphSpec


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
    written = find_at(spec.root, "predictors")
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
    for match, names in group_live(live).items():
        if len(names) == 1:
            only = live[names[0]]
            missing += 100 - weight_of(only)
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


def _check_conditions(spec: GraphSpec, live: Mapping[str, Predictor], sink: Sink) -> None:
    """Report headers beside which nothing answers the requests without them; URLs may each have their own."""
    groups = group_live(live)
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
