"""Emits the routes that share the requests among predictors, where Seldon's operator does not."""

from collections.abc import Callable

from graphc.targets.routes.gateway import emit_gateway_routes
from graphc.targets.routes.istio import emit_istio_routes
from graphc.targets.routes.parts import Calls, Data, RouteParts
from graphc.targets.routes.routing import Routing

Metadata = Callable[[str], Data]


def emit_routes(routing: Routing, metadata: Metadata) -> list[Data]:
    """Return the documents that share the requests, none where the operator does."""
    if not routing.is_ours:
        return []
    deadlines = [each.deadline_ms for each in routing.predictors.values() if each.deadline_ms is not None]
    parts = RouteParts(
        graph=routing.graph,
        namespace=routing.namespace,
        base=routing.ingress.path.format(namespace=routing.namespace, graph=routing.graph),
        rollout=routing.rollout,
        ingress=routing.ingress,
        backends={name: each.backend for name, each in routing.predictors.items()},
        timeout_ms=max(deadlines, default=None),
        metadata=metadata,
        calls=_calls_of(routing),
        versions={name: each.versions for name, each in routing.predictors.items()},
    )
    return emit_gateway_routes(parts) if routing.ingress.kind == "gateway" else emit_istio_routes(parts)


def _calls_of(routing: Routing) -> Calls:
    found = {each.calls for each in routing.predictors.values()}
    return "none" if "none" in found else "some" if "some" in found else "all"
