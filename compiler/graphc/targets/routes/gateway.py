"""Emits routes of the Gateway API: an `HTTPRoute`, and a `GRPCRoute` where the gateway has a host for it.

What the server would fill in is written down: inside lists it would be a change whenever the route is applied again.
"""

from collections.abc import Mapping
from typing import Final

from graphc.ir.graph import Value
from graphc.rollout.shares import ALL, Way
from graphc.targets.routes.parts import CALLS, PROTOCOL, SURVIVED, Backend, Data, RouteParts, write_duration

API_VERSION: Final = "gateway.networking.k8s.io/v1"
MOST_ENTRIES: Final = 16
"""How many rules a route takes, and how many backends and filters a rule."""


def emit_gateway_routes(parts: RouteParts) -> list[Data]:
    """Return the routes; their order is the one in which the Gateway API prefers rules."""
    http = [_http_rule(parts, way) for way in parts.rollout.ways]
    routes = [_route(parts, "HTTPRoute", parts.ingress.host, http)]
    if len(parts.versions) > 1:
        named = [_version_rule(parts, name, each) for name, names in parts.versions.items() for each in names]
        # A route takes few rules; the longest path decides among all of one host.
        for number, start in enumerate(range(0, len(named), MOST_ENTRIES)):
            place = f"{parts.graph}.versions{f'-{number}' if number else ''}"
            rules = named[start : start + MOST_ENTRIES]
            routes.append(_route(parts, "HTTPRoute", parts.ingress.host, rules, place))
    if parts.ingress.grpc_host is not None and parts.calls != "none":
        calls = [_call_rule(parts, way) for way in parts.rollout.ways_of_calls]
        routes.append(_route(parts, "GRPCRoute", parts.ingress.grpc_host, calls))
    return routes


def _route(
    parts: RouteParts, kind: str, host: str | None, rules: list[Data], name: str | None = None
) -> Data:
    gateway = parts.ingress.gateway
    assert gateway is not None
    group = API_VERSION.partition("/")[0]
    parent: Data = {"group": group, "kind": "Gateway", "namespace": gateway.namespace, "name": gateway.name}
    if parts.ingress.listener is not None:
        parent["sectionName"] = parts.ingress.listener
    spec: Data = {"parentRefs": [parent]}
    if host is not None:
        spec["hostnames"] = [host]
    spec["rules"] = list[Value](rules)
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": parts.metadata(name or parts.graph),
        "spec": spec,
    }


def _http_rule(parts: RouteParts, way: Way) -> Data:
    prefix = parts.prefix(way.match)
    match: Data = {"path": {"type": "PathPrefix", "value": prefix}}
    if way.match.headers:
        match["headers"] = _headers(dict(way.match.headers))
    rule: Data = {"matches": [match]}
    filters = [] if prefix == PROTOCOL else [_rewrite()]
    filters += _mirrors(parts, "http")
    if filters:
        rule["filters"] = list[Value](filters)
    rule["backendRefs"] = _backends(parts, way, "http")
    if parts.timeout_ms is not None:
        rule["timeouts"] = {"request": write_duration(parts.timeout_ms)}
    return rule


def _version_rule(parts: RouteParts, predictor: str, version: str) -> Data:
    prefix, target = parts.version_prefix(version), parts.version_target(version)
    rule: Data = {"matches": [{"path": {"type": "PathPrefix", "value": prefix}}]}
    if prefix != target:
        rule["filters"] = [_rewrite(target)]
    rule["backendRefs"] = [_reference(parts.backends[predictor], "http") | {"weight": 1}]
    if parts.timeout_ms is not None:
        rule["timeouts"] = {"request": write_duration(parts.timeout_ms)}
    return rule


def _call_rule(parts: RouteParts, way: Way) -> Data:
    methods: list[Data] = [{}] if parts.calls == "all" else [{"method": each} for each in SURVIVED]
    headers = _headers(parts.call_headers(way.match))
    matches: list[Value] = [
        {"method": {"type": "Exact", "service": CALLS} | method, "headers": headers} for method in methods
    ]
    rule: Data = {"matches": matches}
    filters = _mirrors(parts, "grpc")
    if filters:
        rule["filters"] = list[Value](filters)
    rule["backendRefs"] = _backends(parts, way, "grpc")
    return rule


def _headers(headers: Mapping[str, str]) -> list[Value]:
    return [{"type": "Exact", "name": name, "value": value} for name, value in headers.items()]


def _rewrite(prefix: str = PROTOCOL) -> Data:
    path: Data = {"type": "ReplacePrefixMatch", "replacePrefixMatch": prefix}
    return {"type": "URLRewrite", "urlRewrite": {"path": path}}


def _mirrors(parts: RouteParts, protocol: str) -> list[Data]:
    filters: list[Data] = []
    for mirror in parts.rollout.mirrors:
        copy: Data = {"backendRef": _reference(parts.backends[mirror.predictor], protocol)}
        if mirror.percent != ALL:
            copy["percent"] = mirror.percent
        filters.append({"type": "RequestMirror", "requestMirror": copy})
    return filters


def _backends(parts: RouteParts, way: Way, protocol: str) -> list[Value]:
    return [
        _reference(parts.backends[share.predictor], protocol) | {"weight": share.weight}
        for share in way.shares
    ]


def _reference(backend: Backend, protocol: str) -> Data:
    port = backend.http if protocol == "http" else backend.grpc
    return {"group": "", "kind": "Service", "name": backend.service, "port": port}
