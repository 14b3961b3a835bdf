"""Connections to units: kept for the next call, each with one call at a time."""

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Final

from graphc.engine.tree import Endpoint
from graphc.http1 import Response, ResponseReader, WireError

# MLServer closes a connection after five idle seconds; one that is kept longer fails when it is used next.
_KEEPALIVE_S: Final = 4.0
_JOINED: Final = 64 * 1024
"""Bodies up to this are sent in one piece with their head; a copy of a larger one costs more than a packet."""


class LookupFailedError(OSError):
    """A host has no address."""


class ClosedError(ConnectionError):
    """A unit closed the connection without an answer."""


class Pool:
    """Kept connections by endpoint."""

    def __init__(self) -> None:
        self._idle: dict[Endpoint, list[_Connection]] = {}
        self._open: set[_Connection] = set()

    async def ask(self, endpoint: Endpoint, head: bytes, body: bytes, *, is_safe: bool) -> Response:
        """Send a request and return its answer; raises OSError or graphc.http1.WireError.

        What is safe to ask twice is asked again where a kept connection turns out to be closed.
        """
        kept = self._take(endpoint)
        if kept is not None:
            try:
                return await self._ask(kept, head, body)
            except ConnectionError:
                if not is_safe:
                    raise
        return await self._ask(await self._connect(endpoint), head, body)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.close()
        self._idle.clear()

    async def _ask(self, connection: "_Connection", head: bytes, body: bytes) -> Response:
        try:
            response = await connection.ask(head, body)
        except BaseException:
            connection.close()
            raise
        if response.keeps:
            self._idle.setdefault(connection.endpoint, []).append(connection)
        else:
            connection.close()
        return response

    def _take(self, endpoint: Endpoint) -> "_Connection | None":
        idle = self._idle.get(endpoint, [])
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                return connection
            connection.close()
        return None

    async def _connect(self, endpoint: Endpoint) -> "_Connection":
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for host in await _resolve(endpoint):
            try:
                _, connection = await loop.create_connection(
                    lambda: _Connection(endpoint, self._open), host, endpoint.port
                )
            except OSError as error:
                failure = failure or error
            else:
                return connection
        raise failure or LookupFailedError(endpoint.host)


async def _resolve(endpoint: Endpoint) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise LookupFailedError(endpoint.host) from error
    return [str(address[0]) for *_, address in found]


class _Connection(asyncio.Protocol):
    """One connection, and the call that waits on it."""

    def __init__(self, endpoint: Endpoint, opened: "set[_Connection]") -> None:
        self.endpoint = endpoint
        self._opened = opened
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._used = 0.0

    @property
    def is_usable(self) -> bool:
        """Whether another call may be made on it."""
        return self._transport is not None and time.monotonic() - self._used < _KEEPALIVE_S

    async def ask(self, head: bytes, body: bytes) -> Response:
        """Send a request and wait for its answer."""
        if self._transport is None:
            raise ClosedError
        self._waiting = asyncio.get_running_loop().create_future()
        if len(body) <= _JOINED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return await self._waiting

    def close(self) -> None:
        """Close the connection, whatever is on it."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._opened.discard(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._opened.add(self)

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
        self._transport = None
        self._opened.discard(self)
        if exc is None and not self._reader.is_empty:
            try:
                self._finish(self._reader.close())
            except WireError as error:
                self._finish(error)
        else:
            self._finish(exc or ClosedError())

    def _finish(self, outcome: Response | Exception) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            # Nobody asked, or nobody waits any more: what comes belongs to no call.
            self.close()
        elif isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)
