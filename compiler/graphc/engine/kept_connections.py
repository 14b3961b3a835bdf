"""Connections to units: kept for the next call, each with one call at a time."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Final

from graphc.engine.acknowledged import is_silent, is_unread
from graphc.engine.flow import Flow
from graphc.http1 import Response, ResponseReader, WireError
from graphc.seldon.unit import Endpoint

# MLServer closes a connection after five idle seconds; one that is kept longer fails when it is used next.
_KEEPALIVE_S: Final = 4.0
_JOINED: Final = 64 * 1024
"""Bodies up to this are sent in one piece with their head; a copy of a larger one costs more than a packet."""


Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


class LookupFailedError(OSError):
    """A host has no address."""


class ClosedError(ConnectionError):
    """A unit closed the connection without an answer."""


class _UnreadError(ConnectionError):
    """A kept connection turned out to be closed, and the server cannot have read the request sent on it."""


class KeptConnections:
    """Kept connections by endpoint.

    A connection is kept after an answer that came whole, that did not say `close`, that nothing followed, and that is
    no error but in JSON: other errors are a server's own, which closes the connection after them without a word. Before
    it is used again it is looked at: one that the unit has closed meanwhile, or spoken on, is given up.

    A request is sent again, once and on a new connection, where no server can have read it: on a kept connection that
    the unit closes before any byte of an answer, while its kernel has acknowledged no byte of the request. What is
    safe to ask twice is asked again without that proof. Nothing else is: a unit that dies of a request gets it once.
    """

    def __init__(self, max_answer: int | None = None) -> None:
        self._max_answer = max_answer
        self._idle: dict[Endpoint, list[_Connection]] = {}
        self._open: set[_Connection] = set()

    async def ask(self, endpoint: Endpoint, head: bytes, body: bytes, *, is_safe: bool) -> Response:
        """Send a request and return its answer; raises OSError or graphc.http1.WireError."""
        kept = self._take(endpoint)
        if kept is not None:
            try:
                return await self._ask(kept, head, body)
            except _UnreadError:
                pass
            except ConnectionError:
                if not is_safe:
                    raise
        return await self._ask(await self._connect(endpoint), head, body)

    @property
    def idle(self) -> int:
        """How many connections are kept."""
        return sum(map(len, self._idle.values()))

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.close()
        self._idle.clear()

    def add(self, connection: "_Connection") -> None:
        """Remember a connection that is open."""
        self._open.add(connection)

    def forget(self, connection: "_Connection") -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        idle = self._idle.get(connection.endpoint)
        if idle and connection in idle:
            idle.remove(connection)

    async def _ask(self, connection: "_Connection", head: bytes, body: bytes) -> Response:
        try:
            response = await connection.ask(head, body)
        except BaseException:
            connection.close()
            raise
        if response.keeps and connection.is_usable and _is_expected(response):
            self._idle.setdefault(connection.endpoint, []).append(connection)
        else:
            connection.close()
        return response

    def _take(self, endpoint: Endpoint) -> "_Connection | None":
        idle = self._idle.get(endpoint, [])
        while idle:
            connection = idle.pop()
            if connection.is_usable and connection.is_silent:
                return connection
            connection.close()
        return None

    async def _connect(self, endpoint: Endpoint) -> "_Connection":
        failure: OSError | None = None
        for family, address in await _resolve(endpoint):
            try:
                return await self._connect_to(endpoint, family, address)
            except OSError as error:
                failure = failure or error
        raise failure or LookupFailedError(endpoint.host)

    async def _connect_to(self, endpoint: Endpoint, family: int, address: Address) -> "_Connection":
        loop, connecting = asyncio.get_running_loop(), socket.socket(family, socket.SOCK_STREAM)
        try:
            connecting.setblocking(False)
            await loop.sock_connect(connecting, address)
            _, connection = await loop.create_connection(
                lambda: _Connection(endpoint, self, connecting, self._max_answer), sock=connecting
            )
        except BaseException:
            connecting.close()
            raise
        return connection


def _is_expected(response: Response) -> bool:
    return response.status < 400 or "json" in (response.header("content-type") or "").lower()


async def _resolve(endpoint: Endpoint) -> Sequence[tuple[int, Address]]:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, endpoint.host)
            return [(family, (endpoint.host, endpoint.port))]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM
        )
    except (socket.gaierror, UnicodeError) as error:
        raise LookupFailedError(endpoint.host) from error
    return [(int(family), address) for family, _, _, _, address in found]


class _Connection(asyncio.Protocol):
    """One connection, and the call that waits on it."""

    def __init__(
        self, endpoint: Endpoint, kept: KeptConnections, connected: socket.socket, max_answer: int | None
    ) -> None:
        self.endpoint = endpoint
        self._kept = kept
        self._reader = ResponseReader(max_answer)
        self._transport: asyncio.Transport | None = None
        self._socket = connected
        self._waiting: asyncio.Future[Response] | None = None
        self._used = 0.0
        self._flow = Flow()
        self._sent = self._sent_before = 0

    @property
    def is_usable(self) -> bool:
        """Whether another call may be made on it."""
        return self._transport is not None and time.monotonic() - self._used < _KEEPALIVE_S

    @property
    def is_silent(self) -> bool:
        """Whether the unit has neither closed it nor said anything since its last answer."""
        return is_silent(self._socket)

    async def ask(self, head: bytes, body: bytes) -> Response:
        """Send a request and wait for its answer."""
        if self._transport is None:
            raise ClosedError
        self._waiting = asyncio.get_running_loop().create_future()
        self._sent_before = self._sent
        self._sent += len(head) + len(body)
        if len(body) <= _JOINED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            await self._flow.write(self._transport, body)
        return await self._waiting

    def pause_writing(self) -> None:
        """Hold back what is still to be sent."""
        self._flow.pause()

    def resume_writing(self) -> None:
        """Go on."""
        self._flow.resume()

    def close(self) -> None:
        """Close the connection, with any call that is on it."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._kept.forget(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._kept.add(self)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        try:
            response = self._reader.feed(data)
        except WireError as error:
            self._finish(error)
        else:
            if response is not None:
                self._used = time.monotonic()
                self._finish(response)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call that waits, with an answer that the end completes or an error."""
        is_unasked = self._reader.is_empty and is_unread(self._socket, self._sent_before)
        self._transport = None
        self._flow.resume()
        self._kept.forget(self)
        if is_unasked:
            self._finish(_UnreadError())
        elif exc is None and not self._reader.is_empty:
            try:
                self._finish(self._reader.close())
            except WireError as error:
                self._finish(error)
        else:
            self._finish(exc or ClosedError())

    def _finish(self, outcome: Response | Exception) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            # No call was made, or its caller has left: these bytes belong to no call.
            self.close()
        elif isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)
