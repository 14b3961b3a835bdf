"""Answers of units in parts: given on as they come, no faster than the client reads, and ended with the client."""

from collections.abc import Callable, Iterable
from typing import Final

import aiohttp
from yarl import URL

from graphc.engine.headers import read_headers
from graphc.engine.message import v2_error
from graphc.seldon.unit import Endpoint

EVENTS: Final = "text/event-stream"
_END: Final = b"\n\n"
"""What ends an event: what follows is another one."""
# The client's own headers say what they say, and none says what it does not.
_ADDED: Final = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


class BrokenStreamError(Exception):
    """A unit broke off within an event, where its client cannot be told in another one."""


class UnitStream:
    """An answer whose head is there, and whose body is still to come; whoever has it closes it."""

    def __init__(self, unit: str, response: aiohttp.ClientResponse, most: int) -> None:
        self._unit, self._response, self._most = unit, response, most
        self._size, self._tail, self._is_over = 0, _END, False
        self.status: Final = response.status
        self.headers: Final = read_headers(
            b"\r\n".join([b"", *(b"%b: %b" % pair for pair in response.raw_headers)])
        )
        """What the unit says of the answer, and not of its connection."""
        self.on_close: Callable[[], None] | None = None
        """Called once, when it is closed."""

    @property
    def has_events(self) -> bool:
        """Whether it is an answer in parts, and no error or other answer."""
        return self.status == 200 and self._response.content_type == EVENTS

    async def next(self) -> bytes:
        """Return what has come, as soon as something has; nothing is the end. Raises BrokenStreamError."""
        if self._is_over:
            return b""
        try:
            piece = await self._response.content.readany()
        except TimeoutError:
            return self._break("has not gone on with its answer in time")
        except (aiohttp.ClientError, OSError):
            return self._break("broke off its answer")
        self._size += len(piece)
        if self._size > self._most:
            return self._break(f"answers with more than {self._most} bytes")
        self._is_over = not piece
        self._tail = (self._tail + piece)[-len(_END) :]
        return piece

    async def read(self) -> bytes:
        """Return all of an answer that is none in parts; raises BrokenStreamError."""
        pieces: list[bytes] = []
        while piece := await self.next():
            pieces.append(piece)
            # What tells of the end in another event is no part of this.
            if self._is_over:
                raise BrokenStreamError(self._unit)
        return b"".join(pieces)

    def close(self) -> None:
        """End it, with the unit's own work for it where that is not done."""
        self._is_over = True
        self._response.close()
        told, self.on_close = self.on_close, None
        if told is not None:
            told()

    def _break(self, why: str) -> bytes:
        """Return the last event, which says what went wrong."""
        self._is_over = True
        if self._tail != _END:
            raise BrokenStreamError(self._unit)
        return b"data: %b\n\n" % v2_error(f"unit `{self._unit}` {why}", 500).message.body


class UnitStreams:
    """Asks units for answers in parts, each on a connection of its own."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._session: aiohttp.ClientSession | None = None

    async def open(
        self, unit: str, endpoint: Endpoint, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> UnitStream:
        """Send a POST, and return the answer once its head is there; raises OSError and aiohttp.ClientError.

        The head, and each part after it, may take as many seconds as a unit has for an answer.
        """
        response = await self._open().post(
            URL(f"http://{endpoint.authority}{path}", encoded=True),
            data=body,
            headers=[*headers],
            skip_auto_headers=_ADDED,
            allow_redirects=False,
        )
        return UnitStream(unit, response, self._most)

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        # A session belongs to the event loop in which it is made.
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=self._seconds, sock_read=self._seconds, ceil_threshold=3600
            )
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=timeout,
                auto_decompress=False,
            )
        return self._session
