"""A server of HTTP/1.1: it accepts what it has room for, and closes what waits longest where it has none.

aiohttp's server, which stood here, knows a time for idle connections and the size of a body, and nothing else of what a
stranger can take: no time for heads and bodies, no number of connections, no sum of bytes. And asyncio's own loop of
accepting writes a traceback for each connection of the backlog, again and again, once descriptors have run out.
"""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Collection
from typing import Final

from graphc.engine.connection import Application, Connection
from graphc.engine.faults import note_fault
from graphc.engine.heads import HeadReader
from graphc.engine.limits import Limits, Room

_LOG: Final = logging.getLogger("graphc.engine")
_SWEEP_S: Final = 0.5
_AT_ONCE: Final = 64
_BACKLOG: Final = 1024
_PAUSE_S: Final = 0.5
_QUIET_S: Final = 60.0
_END_S: Final = 1.0
"""What requests get that are given up at the end."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class HttpServer:
    """Serves an application from `start` to `stop`."""

    def __init__(self, application: Application, limits: Limits, room: Room) -> None:
        self.application, self.limits, self.room = application, limits, room
        self.heads = HeadReader()
        self.is_ending = False
        self._connections: dict[Connection, None] = {}
        self._sockets: list[socket.socket] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_accepting = False
        self._told = -_QUIET_S
        self._emptied: asyncio.Future[None] | None = None

    @property
    def open_connections(self) -> Collection[Connection]:
        """The connections that are open now."""
        return self._connections.keys()

    async def start(self, host: str, port: int) -> int:
        """Bind the port at every address of the host; return the port. Raises OSError."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, address in dict.fromkeys((each[0], each[4][0]) for each in found):
                self._sockets.append(_listen(family, str(address), port))
                port = int(self._sockets[0].getsockname()[1])
        except OSError:
            self._close_sockets()
            raise
        self._accept_again()
        self._sweep()
        return port

    async def stop(self, grace_s: float) -> None:
        """Accept nothing more, give what is under way some time, and close the rest."""
        self.is_ending = True
        self._pause()
        self._close_sockets()
        for connection in list(self._connections):
            connection.end()
        if self._connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._emptied], timeout=grace_s)
        tasks = [each.task for each in self._connections if each.task is not None]
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._emptied, *tasks], timeout=_END_S)
        if self._sweeping is not None:
            self._sweeping.cancel()

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._connections.pop(connection, None)
        if self._emptied is not None and not self._connections and not self._emptied.done():
            self._emptied.set_result(None)
        if not self._is_accepting and len(self._connections) == self.limits.connections - 1:
            self._accept_again()

    def _accept_again(self) -> None:
        if not self._is_accepting and not self.is_ending:
            self._is_accepting = True
            for each in self._sockets:
                asyncio.get_running_loop().add_reader(each, self._accept, each)

    def _pause(self) -> None:
        self._is_accepting = False
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            if len(self._connections) >= self.limits.connections and not self._make_room():
                # One that is at work now may drip a moment later.
                self._pause()
                asyncio.get_running_loop().call_later(_PAUSE_S, self._accept_again)
                return
            try:
                accepted, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._serve(accepted)

    def _serve(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        connection = Connection(self)
        self._connections[connection] = None
        task = asyncio.get_running_loop().create_task(self._connect(connection, accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: Connection, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
        except OSError:
            accepted.close()
            self.leave(connection)

    def _make_room(self) -> bool:
        """Close the connection with which least is lost; say whether there was one that is not at work."""
        now = time.monotonic()
        found = [(worth, each) for each in self._connections if (worth := each.worth(now)) is not None]
        if not found:
            return False
        _, least = min(found, key=lambda pair: pair[0])
        least.abort()
        self._connections.pop(least, None)
        return True

    def _rest(self, error: OSError) -> None:
        """Accept nothing for a moment: the machine has no descriptor, or none of another kind, to give."""
        self._pause()
        asyncio.get_running_loop().call_later(_PAUSE_S, self._accept_again)
        if error.errno in _EXHAUSTED:
            self._make_room()
        if time.monotonic() - self._told >= _QUIET_S:
            self._told = time.monotonic()
            _LOG.warning("connections wait to be accepted: %s", (error.strerror or str(error)).lower())

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections):
            try:
                connection.check(now)
            except Exception as fault:
                note_fault("the time of a connection", fault)
                connection.abort()
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.close()
        self._sockets.clear()


def _listen(family: int, address: str, port: int) -> socket.socket:
    made = socket.create_server(
        (address, port), family=socket.AddressFamily(family), backlog=_BACKLOG, reuse_port=False
    )
    made.setblocking(False)
    return made
