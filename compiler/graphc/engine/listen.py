"""The ports on which a service is offered, over HTTP and, if asked for, over gRPC."""

import asyncio
import socket
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from grpc import aio

from graphc.engine.calls import Incoming
from graphc.engine.connection import Response, StreamedResponse
from graphc.engine.grpc_front import Answering, build_server
from graphc.engine.heads import Head
from graphc.engine.http_server import HttpServer
from graphc.engine.limits import Limits, Room, read_limits
from graphc.engine.server import Application
from graphc.engine.service import Serving
from graphc.engine.streams import UnitStream

_MOMENT_S: Final = 0.1
"""How long after a switch a request may still come to what served before: it was read, and is not yet asked."""


class Listener:
    """Listens from `start` to `stop`; port 0 takes a free one, no gRPC port serves none.

    Where it `switches`, something else can take the place of what serves.
    """

    def __init__(
        self,
        host: str,
        http_port: int,
        grpc_port: int | None,
        limits: Limits | None = None,
        *,
        switches: bool = False,
    ) -> None:
        self._turn = _Turn() if switches else None
        self._room: Room | None = None
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
        self._room = room = Room(self._limits.in_flight)
        self._application = Application(service, versions or {}, self._limits, room)
        counted = self._turn.begin(self._application, calls) if self._turn else None
        self._http = HttpServer(counted or self._application, self._limits, room)
        self.http_port = await self._http.start(self._host, self.http_port)
        if self.grpc_port is not None:
            await self._start_grpc(self._turn or calls, self.grpc_port, room)

    def switch(
        self, service: Serving, calls: Answering, versions: Mapping[str, Serving] | None = None
    ) -> Coroutine[None, None, None]:
        """Have something else answer from the next request on; what is returned waits for those before it."""
        if self._turn is None or self._room is None or self._http is None:
            raise RuntimeError("the listener does not switch, or does not listen")
        before = self._turn.counted
        self._application = Application(service, versions or {}, self._limits, self._room)
        self._http.application = self._turn.begin(self._application, calls)
        return before.wait_idle()

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


class _Counted:
    """What answers over both protocols, with the number of requests that it has under way."""

    def __init__(self, application: Application, calls: Answering) -> None:
        self.calls = calls
        self._application = application
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def refuse(self, head: Head) -> Response | None:
        """Answer from the head alone what leads nowhere."""
        return self._application.refuse(head)

    async def answer(self, head: Head, body: bytes) -> Response | StreamedResponse:
        """Answer a request over HTTP; one in parts is under way until it is closed."""
        with self.counting():
            response = await self._application.answer(head, body)
            if isinstance(response, StreamedResponse):
                self._count_stream(response.parts)
            return response

    def _count_stream(self, parts: UnitStream) -> None:
        told = parts.on_close

        def end() -> None:
            if told is not None:
                told()
            self._end()

        self._begin()
        parts.on_close = end

    @contextmanager
    def counting(self) -> Generator[None]:
        """Count what is done within."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    def _begin(self) -> None:
        self._under_way += 1
        self._idle.clear()

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Return once nothing is under way; called when nothing new comes."""
        await asyncio.sleep(_MOMENT_S)
        await self._idle.wait()


class _Turn:
    """Has calls answered by what serves now: a gRPC server keeps what it was started with."""

    def __init__(self) -> None:
        self.counted: _Counted

    def begin(self, application: Application, calls: Answering) -> _Counted:
        """Let something else have its turn."""
        self.counted = _Counted(application, calls)
        return self.counted

    @property
    def unpacks(self) -> bool:
        """Whether clients may compress their messages."""
        return self.counted.calls.unpacks

    async def answer(self, method: str, message: bytes, incoming: Incoming) -> bytes:
        """Answer a call; raises EndedCallError."""
        counted = self.counted
        with counted.counting():
            return await counted.calls.answer(method, message, incoming)
