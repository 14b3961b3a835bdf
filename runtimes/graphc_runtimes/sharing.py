"""Lets MLServer in this process share its ports and its metrics with those beside it."""
# pyright: reportMissingTypeStubs=false, reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportAttributeAccessIssue=false

import socket
from collections.abc import Sequence

import uvicorn
from mlserver.handlers import DataPlane
from mlserver.metrics.prometheus import PrometheusEndpoint
from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector

from graphc_runtimes.workers import have_all_loaded


def share_with_workers() -> None:
    """Listen beside the other workers, be ready when all have loaded, and answer for the metrics of all."""
    _share_ports()
    _wait_for_all()
    _add_up_metrics()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((host, port))
    listening.setblocking(False)
    return listening


def _share_ports() -> None:
    """Let uvicorn, which MLServer runs for REST and for metrics, listen beside the other workers.

    gRPC does so anyway.
    """
    serve = uvicorn.Server.serve

    async def serve_beside(server: uvicorn.Server, sockets: Sequence[socket.socket] | None = None) -> None:
        listening = [_listen(server.config.host, server.config.port)]
        await serve(server, sockets=list(sockets or listening))

    uvicorn.Server.serve = serve_beside


def _wait_for_all() -> None:
    ready, model_ready = DataPlane.ready, DataPlane.model_ready

    async def all_ready(plane: DataPlane) -> bool:
        return have_all_loaded() and await ready(plane)

    async def all_model_ready(plane: DataPlane, name: str, version: str | None = None) -> bool:
        return have_all_loaded() and await model_ready(plane, name, version)

    DataPlane.ready, DataPlane.model_ready = all_ready, all_model_ready


def _add_up_metrics() -> None:
    """Answer with the metrics of all processes, whichever of them is asked."""

    def registry(_: PrometheusEndpoint) -> CollectorRegistry:
        every = CollectorRegistry()
        MultiProcessCollector(every)
        return every

    # MLServer does the same for its own workers; a metric that was made before knows only its process.
    values.ValueClass = values.get_value_class()
    PrometheusEndpoint._registry = property(registry)
