"""Emits Istio's routes: a `VirtualService`, and what makes choices sticky, which is a hash over pods."""

from collections.abc import Mapping
from typing import Final

from graphc.ir.graph import Value
from graphc.rollout.shares import Rollout, Share, Way
from graphc.targets.routes.parts import CALLS, PROTOCOL, SURVIVED, Backend, Data, RouteParts, write_duration

API_VERSION: Final = "networking.istio.io/v1"
STICKY_LABEL: Final = "graphc.dev/sticky"
"""On the pods that take a predictor's requests: the Service that finds those of all predictors."""


def sticky_groups(rollout: Rollout) -> list[Way]:
    """Return the ways in which a key decides between several predictors."""
    return [way for way in rollout.ways if rollout.sticky and len(weighted(way)) > 1]


def weighted(way: Way) -> list[Share]:
    """Return the shares that are more than nothing."""
    return [share for share in way.shares if share.weight > 0]


def sticky_service(graph: str, rollout: Rollout, predictor: str) -> str | None:
    """Return the Service over the pods of all predictors that share requests with this one by a key."""
    for index, way in enumerate(sticky_groups(rollout)):
        if any(share.predictor == predictor for share in weighted(way)):
            return f"{graph}-sticky-{index}"
    return None


def emit_istio_routes(parts: RouteParts) -> list[Data]:
    """Return the routes in the order in which Istio tries them."""
    documents: list[Data] = []
    for way in sticky_groups(parts.rollout):
        documents += _sticky(parts, way)
    http = [_http_route(parts, way) for way in parts.rollout.ways]
    survived = parts.calls != "none"
    calls = [_call_route(parts, way) for way in parts.rollout.ways_of_calls if survived]
    named = [
        route
        for name, names in (parts.versions.items() if len(parts.versions) > 1 else ())
        for version in names
        for route in _version_routes(parts, name, version)
    ]
    gateway = parts.ingress.gateway
    assert gateway is not None
    spec: Data = {
        "gateways": [f"{gateway.namespace}/{gateway.name}"],
        "hosts": [parts.ingress.host or "*"],
        "http": list[Value]([*named, *http, *calls]),
    }
    # The operator's own bears the graph's name, and that of no other graph has a dot.
    documents.append(_document(parts, "VirtualService", f"{parts.graph}.graphc", spec))
    return documents


def _document(parts: RouteParts, kind: str, name: str, spec: Data) -> Data:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": parts.metadata(name), "spec": spec}


def _http_route(parts: RouteParts, way: Way) -> Data:
    prefix = parts.prefix(way.match)
    match: Data = {"uri": {"prefix": prefix}}
    if way.match.headers:
        match["headers"] = _headers(dict(way.match.headers))
    route: Data = {"match": [match]}
    if prefix != PROTOCOL:
        route["rewrite"] = {"uri": PROTOCOL}
    return route | _destinations(parts, way, "http")


def _version_routes(parts: RouteParts, predictor: str, version: str) -> list[Data]:
    """Return the routes of a version's name: Istio's prefixes are texts, and `canary` is one of `canary2`."""
    prefix, target = parts.version_prefix(version), parts.version_target(version)
    routes: list[Data] = []
    for kind, end in (("exact", ""), ("prefix", "/")):
        route: Data = {"match": [{"uri": {kind: prefix + end}}]}
        if prefix != target:
            route["rewrite"] = {"uri": target + end}
        destination = _destination(parts, parts.backends[predictor], "http")
        route["route"] = [{"destination": destination, "weight": 100}]
        if parts.timeout_ms is not None:
            route["timeout"] = write_duration(parts.timeout_ms)
        routes.append(route)
    return routes


def _call_route(parts: RouteParts, way: Way) -> Data:
    headers = _headers(parts.call_headers(way.match))
    uris: list[Data] = [{"prefix": f"/{CALLS}/"}]
    if parts.calls == "some":
        uris = [{"exact": f"/{CALLS}/{method}"} for method in SURVIVED]
    route: Data = {"match": [{"uri": uri, "headers": headers} for uri in uris]}
    return route | _destinations(parts, way, "grpc")


def _headers(headers: Mapping[str, str]) -> Data:
    return {name: {"exact": value} for name, value in headers.items()}


def _destinations(parts: RouteParts, way: Way, protocol: str) -> Data:
    data: Data = {"route": _route(parts, way, protocol)}
    if parts.rollout.mirrors:
        data["mirrors"] = [
            {
                "destination": _destination(parts, parts.backends[mirror.predictor], protocol),
                "percentage": {"value": mirror.percent},
            }
            for mirror in parts.rollout.mirrors
        ]
    if parts.timeout_ms is not None:
        data["timeout"] = write_duration(parts.timeout_ms)
    return data


def _route(parts: RouteParts, way: Way, protocol: str) -> list[Value]:
    shared = sticky_service(parts.graph, parts.rollout, way.shares[0].predictor)
    if shared is not None and way in sticky_groups(parts.rollout):
        backend = parts.backends[way.shares[0].predictor]
        one = Backend(shared, backend.http, backend.grpc)
        return [{"destination": _destination(parts, one, protocol)}]
    return [
        {
            "destination": _destination(parts, parts.backends[share.predictor], protocol),
            "weight": share.weight,
        }
        for share in way.shares
    ]


def _destination(parts: RouteParts, backend: Backend, protocol: str) -> Data:
    # Istio takes a short name for one of its own namespace, and advises against it.
    host = f"{backend.service}.{parts.namespace}.svc.cluster.local" if parts.namespace else backend.service
    return {"host": host, "port": {"number": backend.http if protocol == "http" else backend.grpc}}


def _sticky(parts: RouteParts, way: Way) -> list[Data]:
    backend = parts.backends[weighted(way)[0].predictor]
    name = sticky_service(parts.graph, parts.rollout, weighted(way)[0].predictor) or ""
    ports: list[Value] = [
        {"name": protocol, "protocol": "TCP", "port": port, "targetPort": port}
        for protocol, port in (("http", backend.http), ("grpc", backend.grpc))
    ]
    service: Data = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": parts.metadata(name),
        "spec": {"selector": {STICKY_LABEL: name}, "ports": ports},
    }
    host = _destination(parts, Backend(name, 0, 0), "http")["host"]
    policy: Data = {"loadBalancer": {"consistentHash": {"httpHeaderName": parts.rollout.sticky}}}
    rule = _document(parts, "DestinationRule", name, {"host": host, "trafficPolicy": policy})
    return [service, rule]
