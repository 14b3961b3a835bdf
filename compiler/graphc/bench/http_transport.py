"""Requests over HTTP/1.1: a kept connection for each slot, all on one selector."""

import select
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import Final

from graphc.bench.transport import Done
from graphc.http1 import Response, ResponseReader, WireError

_RECEIVE: Final = 256 * 1024
_BOTH: Final = selectors.EVENT_READ | selectors.EVENT_WRITE
_PATROL: Final = 0.25
"""How many seconds may pass until a request that is overdue is given up."""


@dataclass(slots=True, eq=False)
class _Link:
    """A connection, and what is under way on it."""

    slot: int
    socket: socket.socket
    reader: ResponseReader = field(default_factory=ResponseReader)
    pending: memoryview | None = None
    deadline: float = 0.0
    is_busy: bool = False
    is_open: bool = False
    watches_write: bool = True
    served: int = 0


class HttpTransport:
    """Posts one request again and again."""

    def __init__(self, host: str, port: int, request: bytes, timeout: float) -> None:
        self.reconnects = 0
        # The address is looked up once: a resolver is no part of what is measured.
        self._family, _, _, _, self._address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._request, self._timeout = memoryview(request), timeout
        self._selector = selectors.DefaultSelector()
        self._links: dict[int, _Link] = {}
        self._ended: list[Done] = []
        self._patrol = 0.0

    def send(self, slot: int) -> None:
        """Send the request on the slot's connection, a new one where it has none."""
        link = self._links.get(slot) or self._connect(slot)
        if link is None:
            return
        link.deadline, link.is_busy = time.monotonic() + self._timeout, True
        link.pending = self._request
        if link.is_open:
            self._write(link)

    def poll(self, timeout: float) -> list[Done]:
        """Wait on all connections."""
        if not self._ended:
            self._wait(max(0.0, min(timeout, _PATROL)))
            for key, events in self._selector.select(0):
                link: _Link = key.data
                if events & selectors.EVENT_WRITE:
                    self._write(link)
                if events & selectors.EVENT_READ and link.socket.fileno() >= 0:
                    self._read(link)
        if (now := time.monotonic()) > self._patrol:
            self._patrol = now + _PATROL
            self._give_up(now)
        ended, self._ended = self._ended, []
        return ended

    def _wait(self, timeout: float) -> None:
        # An epoll waits in whole milliseconds, which is longer than many an answer takes; a select of it does not.
        fileno = getattr(self._selector, "fileno", None)
        if fileno is None:
            self._selector.select(timeout)
        else:
            select.select([fileno()], [], [], timeout)

    def close(self) -> None:
        """Close all connections."""
        for link in list(self._links.values()):
            self._drop(link)
        self._selector.close()

    def _connect(self, slot: int) -> _Link | None:
        connection = socket.socket(self._family, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.connect(self._address)
        except BlockingIOError:
            pass
        except OSError as error:
            connection.close()
            self._end(slot, failure=(error.strerror or "cannot connect").lower())
            return None
        link = self._links[slot] = _Link(slot, connection)
        self._selector.register(connection, _BOTH, link)
        return link

    def _write(self, link: _Link) -> None:
        try:
            sent = link.socket.send(link.pending) if link.pending is not None else 0
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._fail(link, (error.strerror or "cannot send").lower())
            return
        link.is_open = True
        if link.pending is not None:
            link.pending = link.pending[sent:] if sent < len(link.pending) else None
        if link.watches_write != (link.pending is not None):
            link.watches_write = link.pending is not None
            self._selector.modify(link.socket, _BOTH if link.watches_write else selectors.EVENT_READ, link)

    def _read(self, link: _Link) -> None:
        try:
            data = link.socket.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(link, (error.strerror or "cannot receive").lower())
            return
        at = time.monotonic()
        try:
            response = link.reader.feed(data) if data else self._read_end(link)
        except WireError as error:
            self._fail(link, str(error))
            return
        if response is not None:
            self._finish(link, response, at)

    def _read_end(self, link: _Link) -> Response | None:
        if link.is_busy:
            return link.reader.close()
        self._drop(link)
        return None

    def _finish(self, link: _Link, response: Response, at: float) -> None:
        if not link.is_busy:
            self._drop(link)
            return
        link.is_busy = False
        link.served += 1
        if not response.keeps or link.pending is not None:
            self._drop(link)
        if response.header("content-encoding") is not None:
            self._end(link.slot, failure="the answer is compressed, which was not asked for")
            return
        length = response.header("inference-header-content-length")
        self._ended.append(
            Done(
                link.slot,
                at,
                str(response.status),
                response.status == 200,
                response.body,
                int(length) if length and length.isdigit() else None,
                "",
            )
        )

    def _fail(self, link: _Link, reason: str) -> None:
        self._drop(link)
        if link.is_busy and link.served and link.reader.is_empty:
            # A server may close a connection that it has kept just when the next request is on its way.
            self.reconnects += 1
            self.send(link.slot)
        elif link.is_busy:
            self._end(link.slot, failure=reason)

    def _give_up(self, now: float) -> None:
        for link in [each for each in self._links.values() if each.is_busy and each.deadline < now]:
            self._drop(link)
            self._end(link.slot, failure=f"no answer in {self._timeout:g} s")

    def _drop(self, link: _Link) -> None:
        self._selector.unregister(link.socket)
        link.socket.close()
        del self._links[link.slot]

    def _end(self, slot: int, failure: str) -> None:
        self._ended.append(Done(slot, time.monotonic(), "", False, b"", None, failure))
