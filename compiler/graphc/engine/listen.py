"""The ports on which a service is offered, over HTTP and, if asked for, over gRPC."""

import asyncio
import socket
from collections.abc import Mapping

from grpc import aio

from graphc.engine.grpc_front import Answering, build_server
from graphc.engine.http_server import HttpServer
from graphc.engine.limits import Limits, Room, read_limits
from graphc.engine.server import Application
from graphc.engine.service import Serving


class Listener:
    """Listens from `start` to `stop`; port 0 takes a free one, no gRPC port serves none."""

    def __init__(
        self, host: str, http_port: int, grpc_port: int | None, limits: Limits | None = None
    ) -> None:
        self._host = host
        self.http_port = http_port
        """The port for HTTP; the one that is bound, once it is."""
        self.grpc_port = grpc_port
        """The port for gRPC, likewise."""
        self._limits = limits or read_limits()
        self._http: HttpServer | None = None
        self._application: Application | None = None
        self._grpc: aio.Server | None = None

    async def start(
        self, service: Serving, calls: Answering, versions: Mapping[str, Serving] | None = None
    ) -> None:
        """Bind the ports; raises OSError where one cannot be had. `calls` answers what comes over gRPC."""
        room = Room(self._limits.in_flight)
        self._application = Application(service, versions or {}, self._limits, room)
        self._http = HttpServer(self._application, self._limits, room)
        self.http_port = await self._http.start(self._host, self.http_port)
        if self.grpc_port is not None:
            await self._start_grpc(calls, self.grpc_port, room)

    async def stop(self, grace_s: float | None = None) -> None:
        """Be ready no more, close the ports, and let requests in flight end first."""
        grace_s = self._limits.grace_s if grace_s is None else grace_s
        if self._application:
            self._application.is_ending = True
        # Both have the same time, and neither waits for the other.
        calls = asyncio.create_task(self._grpc.stop(grace_s)) if self._grpc else None
        if self._http:
            await self._http.stop(grace_s)
        if calls is not None:
            await calls
        self._http = self._grpc = self._application = None

    async def _start_grpc(self, calls: Answering, port: int, room: Room) -> None:
        self._grpc = build_server(calls, self._limits, room)
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # gRPC fails with lines of its own on stderr; a plain socket fails first, and in one.
        socket.create_server((self._host, port), family=family).close()
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            self.grpc_port = self._grpc.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port} cannot be bound for gRPC") from error
        await self._grpc.start()
