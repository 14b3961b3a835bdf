"""The ports on which a service is offered, over HTTP and, if asked for, over gRPC."""

import socket
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from grpc import aio

from graphc.engine.grpc_front import Answering, build_server
from graphc.engine.server import build_app
from graphc.engine.service import Serving

_GRACE_S: Final = 5.0


class Listener:
    """Listens from `start` to `stop`; port 0 takes a free one, no gRPC port serves none."""

    def __init__(self, host: str, http_port: int, grpc_port: int | None) -> None:
        self._host = host
        self.http_port = http_port
        """The port for HTTP; the one that is bound, once it is."""
        self.grpc_port = grpc_port
        """The port for gRPC, likewise."""
        self._runner: web.AppRunner | None = None
        self._grpc: aio.Server | None = None

    async def start(
        self, service: Serving, calls: Answering, versions: Mapping[str, Serving] | None = None
    ) -> None:
        """Bind the ports; raises OSError where one cannot be had. `calls` answers what comes over gRPC."""
        app = build_app(service, versions or {})
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self.http_port).start()
        self.http_port = int(self._runner.addresses[0][1])
        if self.grpc_port is not None:
            await self._start_grpc(calls, self.grpc_port)

    async def stop(self) -> None:
        """Close the ports, requests in flight first."""
        if self._grpc:
            await self._grpc.stop(_GRACE_S)
        if self._runner:
            await self._runner.cleanup()
        self._grpc = self._runner = None

    async def _start_grpc(self, calls: Answering, port: int) -> None:
        self._grpc = build_server(calls)
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # gRPC fails with lines of its own on stderr; a plain socket fails first, and in one.
        socket.create_server((self._host, port), family=family).close()
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            self.grpc_port = self._grpc.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port} cannot be bound for gRPC") from error
        await self._grpc.start()
