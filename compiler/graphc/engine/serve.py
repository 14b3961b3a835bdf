"""A running engine: one tree of units behind V2 ports, for `graphc engine` and `graphc run`."""

import socket
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from grpc import aio

from graphc.engine.client import UnitClient
from graphc.engine.grpc_front import build_server
from graphc.engine.metrics import Metrics
from graphc.engine.server import build_app
from graphc.engine.service import Graph, Service
from graphc.engine.tree import Unit

_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where an engine listens and what it is called; port 0 takes a free one, no gRPC port serves none."""

    host: str = "127.0.0.1"
    http_port: int = 0
    grpc_port: int | None = None
    graph: Graph | None = None
    full_health_checks: bool = False
    unit_timeout_s: float | None = None


class Engine:
    """Serves one tree from `start` to `stop`; units without an endpoint answer with an error."""

    def __init__(self, root: Unit, options: EngineOptions) -> None:
        self._root = root
        self._options = options
        self._client: UnitClient | None = None
        self._runner: web.AppRunner | None = None
        self._grpc: aio.Server | None = None
        self._http_port = 0
        self._grpc_port: int | None = None

    @property
    def http_port(self) -> int:
        """The port bound for HTTP."""
        return self._http_port

    @property
    def grpc_port(self) -> int | None:
        """The port bound for gRPC, if any."""
        return self._grpc_port

    async def start(self) -> None:
        """Bind the ports; raises OSError where one cannot be had, and leaves nothing open."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End what runs, requests in flight first."""
        if self._grpc:
            await self._grpc.stop(_GRACE_S)
        if self._runner:
            await self._runner.cleanup()
        if self._client:
            await self._client.close()
        self._grpc = self._runner = self._client = None

    async def _start(self) -> None:
        options, metrics = self._options, Metrics()
        self._client = UnitClient(metrics, options.unit_timeout_s)
        service = Service(self._root, self._client, metrics, options.graph, options.full_health_checks)
        self._runner = web.AppRunner(build_app(service), access_log=None, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, options.host, options.http_port).start()
        self._http_port = int(self._runner.addresses[0][1])
        if options.grpc_port is not None:
            await self._start_grpc(service, options.grpc_port)

    async def _start_grpc(self, service: Service, port: int) -> None:
        self._grpc = build_server(service)
        family = socket.AF_INET6 if ":" in self._options.host else socket.AF_INET
        # gRPC fails with lines of its own on stderr; a plain socket fails first, and in one.
        socket.create_server((self._options.host, port), family=family).close()
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        try:
            self._grpc_port = self._grpc.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port} cannot be bound for gRPC") from error
        await self._grpc.start()
