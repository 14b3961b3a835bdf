"""Checks that a cluster's ingress can do what is asked of it: nothing is left out without a word."""

import math
from collections.abc import Sequence
from typing import Final

from graphc.diagnostics import Diagnostic, Sink, Span
from graphc.diagnostics.codes.rollout import (
    INGRESS_CANNOT,
    ROUTE_NAMESPACE,
    SECOND_SHADOW,
    SERVICE_CLASH,
    STICKY_REPLICAS,
)
from graphc.rollout.shares import Match, Share
from graphc.targets.routes.gateway import MOST_ENTRIES
from graphc.targets.routes.istio import sticky_groups, weighted
from graphc.targets.routes.routing import Routing

_SAID: Final = {
    "none": "graphc knows of no ingress here that {verb}s {what}",
    "ambassador": "Ambassador, as Seldon drives it, does not {verb} {what}",
}


def check_routing(routing: Routing, sink: Sink) -> None:
    """Report what the ingress cannot do."""
    if not routing.is_ours:
        return
    if not routing.has_operator and routing.ingress.kind in {"none", "ambassador"}:
        _report_alone(routing, sink)
        return
    if routing.ingress.kind in {"none", "ambassador"}:
        for message, at in _beyond_the_operator(routing):
            hint = "compile with `--profile` for a cluster with Istio or the Gateway API; `graphc run` needs neither"
            rule = SECOND_SHADOW if "shadow" in message else INGRESS_CANNOT
            sink.report(Diagnostic(rule, message, at, hint))
        return
    if "{namespace}" in routing.ingress.path and routing.namespace is None:
        message = f"the routes of `{routing.graph}` need its namespace, which is not known"
        hint = "say `metadata: {namespace: ...}`, or give the profile a path without `{namespace}`"
        sink.report(Diagnostic(ROUTE_NAMESPACE, message, routing.at, hint))
    if routing.ingress.kind == "gateway":
        _check_gateway(routing, sink)
    elif routing.rollout.sticky is not None:
        _check_sticky_pods(routing, sink)


def _report_alone(routing: Routing, sink: Sink) -> None:
    """Report versions among which nothing shares the requests: there is neither an operator nor a gateway."""
    first, *others = routing.predictors
    found = ", ".join(f"`{name}`" for name in (first, *others))
    message = f"{found} need a gateway that shares the requests, and the cluster's profile has none"
    hint = "compile with `--profile` for a cluster with the Gateway API or Istio; `graphc run` needs neither"
    at = routing.predictors[others[0]].at
    sink.report(Diagnostic(INGRESS_CANNOT, message, at, hint))


def _beyond_the_operator(routing: Routing) -> Sequence[tuple[str, Span]]:
    said = _SAID[routing.ingress.kind].format
    found: list[tuple[str, Span]] = []
    for way in routing.rollout.ways:
        if way.match != Match():
            name = way.shares[0].predictor
            what = "URL" if way.match.path is not None else "headers"
            message = said(verb="take", what=f"requests to `{name}` by their {what}")
            found.append((message, routing.predictors[name].at))
    first = routing.rollout.mirrors[:1]
    for mirror in routing.rollout.mirrors[1:]:
        message = (
            f"`{mirror.predictor}` is a second shadow beside `{first[0].predictor}`, and Seldon takes one"
        )
        found.append((message, routing.predictors[mirror.predictor].at))
    if routing.rollout.sticky is not None:
        message = said(verb="keep", what=f"a value of `{routing.rollout.sticky}` at one predictor")
        found.append((message, routing.sticky_at))
    return found


def _check_gateway(routing: Routing, sink: Sink) -> None:
    rollout = routing.rollout
    if rollout.sticky is not None:
        message = f"the Gateway API cannot keep a value of `{rollout.sticky}` at one predictor"
        hint = "Istio can; the Gateway API's own sessions go by a cookie that it makes"
        sink.report(Diagnostic(INGRESS_CANNOT, message, routing.sticky_at, hint))
    most = max(len(rollout.ways), len(rollout.mirrors) + 1, *(len(way.shares) for way in rollout.ways))
    if most > MOST_ENTRIES:
        message = f"an `HTTPRoute` takes {MOST_ENTRIES} entries of a kind, and `{routing.graph}` needs {most}"
        sink.report(Diagnostic(INGRESS_CANNOT, message, routing.at))


def _check_sticky_pods(routing: Routing, sink: Sink) -> None:
    """Check the pods, to one of which Istio hashes a key: predictors get shares as they have pods."""
    for index in range(len(sticky_groups(routing.rollout))):
        if f"sticky-{index}" in routing.predictors:
            message = f"the predictor `sticky-{index}` has the Service that a sticky choice takes"
            at = routing.predictors[f"sticky-{index}"].at
            sink.report(Diagnostic(SERVICE_CLASH, message, at, "give the predictor another name"))
    for way in sticky_groups(routing.rollout):
        shares = weighted(way)
        pods = [routing.predictors[share.predictor].pods for share in shares]
        if _stand_as(shares, pods):
            continue
        told = ", ".join(
            f"`{share.predictor}` has {count or 'a changing number'}"
            for share, count in zip(shares, pods, strict=True)
        )
        weights = ":".join(str(share.weight) for share in shares)
        message = f"Istio makes choices sticky by pods, which have to stand as {weights}; {told}"
        at = routing.predictors[shares[-1].predictor].at
        hint = f"set `replicas`, such as {_least(shares)}"
        sink.report(Diagnostic(STICKY_REPLICAS, message, at, hint))


def _stand_as(shares: Sequence[Share], pods: Sequence[int | None]) -> bool:
    first = pods[0]
    return first is not None and all(
        count is not None and count * shares[0].weight == first * share.weight
        for share, count in zip(shares, pods, strict=True)
    )


def _least(shares: Sequence[Share]) -> str:
    divisor = math.gcd(*(share.weight for share in shares))
    return ", ".join(f"{share.weight // divisor} for `{share.predictor}`" for share in shares)
