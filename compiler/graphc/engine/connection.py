"""One client's connection: requests are read within bounds of time and room, answered in turn, and given up with it.

Each state has a deadline that a sweep of the server looks at: a request has the head's time to say what it wants, a
body must come at a least rate and never pause for long, an answer must be read in the same way, and an idle connection
is kept for a while. What comes too late is told so with a 408 where something came at all.
"""

import asyncio
import math
import time
from collections.abc import Awaitable
from contextvars import ContextVar
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol, cast

from graphc.engine.bodies import BodyReader, ChunkedBody, SizedBody
from graphc.engine.faults import note_fault
from graphc.engine.flow import Flow
from graphc.engine.heads import Head, HeadError, HeadReader, Pairs
from graphc.engine.limits import Limits, Room
from graphc.engine.message import JSON_TYPE, v2_error
from graphc.engine.streams import BrokenStreamError, UnitStream

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LAST_S: Final = 1.0
"""For how long after its last request a connection stays when the server ends."""

_LINGER_S: Final = 2.0
"""How long a client that is still sending may go on, so that it sees its answer and no reset."""
_JOINED: Final = 64 * 1024
_BODILESS: Final = frozenset({204, 304})
_FAIR_S: Final = 1.0
"""How long a body may come slowly before its connection is given to another that waits."""
_RETRY: Final = (("Retry-After", "1"),)
_STATUS_LINES: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}


PEER: Final[ContextVar[str]] = ContextVar("PEER", default="")
"""The address of the client whose request is being answered."""


class Response(NamedTuple):
    """An answer; the length and what belongs to the connection are added."""

    status: int
    body: bytes = b""
    headers: Pairs = ()


class StreamedResponse(NamedTuple):
    """An answer of 200 whose body comes in parts."""

    parts: UnitStream
    headers: Pairs


class Application(Protocol):
    """What answers requests."""

    def refuse(self, head: Head) -> Response | None:
        """Answer from the head alone what has no other answer, so that no body need be read for it."""
        ...

    def answer(self, head: Head, body: bytes) -> Awaitable[Response | StreamedResponse]:
        """Answer a request; never raises but for being cancelled."""
        ...


class Server(Protocol):
    """What connections share."""

    application: Application
    limits: Limits
    room: Room
    heads: HeadReader
    is_ending: bool

    def leave(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        ...


def refusal(status: int, message: str, headers: Pairs = ()) -> Response:
    """Return an error in the form of the V2 protocol."""
    return Response(status, v2_error(message, status).message.body, (("Content-Type", JSON_TYPE), *headers))


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._searched = 0
        self._head: Head | None = None
        self._body: BodyReader | None = None
        self._held = 0
        self.task: asyncio.Task[None] | None = None
        """What answers the present request."""
        self._flow = Flow()
        self._lingers = self._is_stalled = self._is_paused = False
        self._peer = ""
        self.asked = False
        """Whether a request ever came whole."""
        self.since = time.monotonic()
        """When the present state began."""
        self._deadline = self.since + server.limits.head_timeout_s
        self._unread, self._unread_at_first, self._unread_since, self._progress = 0, 0, 0.0, 0.0

    @property
    def waits(self) -> bool:
        """Whether no request is under way, be a part of a head there or not."""
        is_free = self.task is None and self._body is None and not self._lingers
        return is_free and self._transport is not None

    def worth(self, now: float) -> tuple[int, float] | None:
        """Return what is lost with it, least for who never asked, then who drips, then who is idle; None at work."""
        if self._body is not None:
            age = now - self.since
            drips = age > _FAIR_S and self._body.size < age * self._server.limits.least_rate
            return (1, self.since) if drips else None
        if self._lingers:
            return (0, self.since)
        return (2 if self.asked else 0, self.since) if self.waits else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = _address_of(transport)
        if self._server.is_ending:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Give up what is under way: the client has left."""
        self._transport = None
        self._flow.resume()
        self._drop_body()
        if self.task is not None:
            self.task.cancel()
        self._server.leave(self)

    def pause_writing(self) -> None:
        """Take no further request while answers are not read."""
        self._is_stalled = True
        self._flow.pause()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_stalled = False
        self._flow.resume()
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        try:
            self._take(data)
        except Exception as fault:
            self._respond_and_close(refusal(500, note_fault("the reading of a request", fault)))

    def _take(self, data: bytes) -> None:
        if self._lingers:
            return
        if self._body is not None:
            self._feed(self._body, data)
            return
        self._buffer += data
        if self.task is None and not self._is_stalled:
            self._read_head()
        elif len(self._buffer) > self._server.limits.max_head and self._transport and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def check(self, now: float) -> None:
        """End what takes too long."""
        if self._transport is None:
            return
        if unread := self._transport.get_write_buffer_size():
            self._check_reader(self._transport, unread, now)
        else:
            self._unread = 0
        if now > self._deadline:
            self._expire()

    def end(self) -> None:
        """Close the connection as soon as it has nothing under way.

        A client that asked a moment ago may be asking again right now, and would lose that request. Its next answer
        tells it to connect anew, if it comes soon.
        """
        left = max(self.since + _LAST_S - time.monotonic(), 0.0)
        asyncio.get_running_loop().call_later(left, self._end_idle)

    def _end_idle(self) -> None:
        if self._transport is not None and self.waits and not self._buffer:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection, with any request that is under way."""
        if self._transport is not None:
            self._transport.abort()

    def _check_reader(self, transport: asyncio.Transport, unread: int, now: float) -> None:
        limits = self._server.limits
        if not self._unread or unread > self._unread:
            self._unread_at_first, self._unread_since, self._progress = unread, now, now
        elif unread < self._unread:
            self._progress = now
        self._unread = unread
        read = self._unread_at_first - unread
        slowest = self._unread_since + limits.head_timeout_s + read / limits.least_rate
        if now > min(slowest, self._progress + limits.read_timeout_s):
            transport.abort()

    def _expire(self) -> None:
        if self._lingers or (self._body is None and not self._buffer):
            self.abort()
        else:
            self._respond_and_close(refusal(408, "the request did not come in time"))

    def _read_head(self) -> None:
        buffer, limits = self._buffer, self._server.limits
        while buffer.startswith(b"\r\n"):
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end > limits.max_head or (end < 0 and len(buffer) > limits.max_head):
            self._respond_and_close(
                refusal(431, f"the request's head is larger than {limits.max_head} bytes")
            )
            return
        if end < 0:
            if buffer and not self._searched and self.asked:
                self._begin_state(limits.head_timeout_s)
            self._searched = len(buffer)
            return
        text, following = bytes(buffer[:end]), bytes(buffer[end + 4 :])
        buffer.clear()
        self._searched = 0
        try:
            self._begin(self._server.heads.read(text), following)
        except HeadError as error:
            self._respond_and_close(refusal(error.status, str(error)))

    def _begin(self, head: Head, following: bytes) -> None:
        limits, room = self._server.limits, self._server.room
        self._head, self.asked = head, True
        refused = self._server.application.refuse(head)
        if refused is not None and head.length != 0:
            self._respond_and_close(refused)
        elif head.length == 0:
            self._start(head, b"", following)
        elif head.length is not None and head.length > min(limits.max_body, room.size):
            raise HeadError(413, f"the body is larger than {min(limits.max_body, room.size)} bytes")
        elif room.taken + (head.length or 0) > room.size:
            self._refuse_for_room()
        else:
            if head.expects and not following and self._transport is not None:
                self._transport.write(_CONTINUE)
            body = ChunkedBody(limits.max_body) if head.length is None else SizedBody(head.length)
            self._body = body
            self._begin_state(limits.head_timeout_s)
            if following:
                self._feed(body, following)

    def _feed(self, body: BodyReader, data: bytes) -> None:
        limits, before = self._server.limits, body.size
        try:
            following = body.feed(data)
        except HeadError as error:
            self._respond_and_close(refusal(error.status, str(error)))
            return
        grown = max(0, body.size - before)
        if not self._server.room.take(grown):
            self._refuse_for_room()
            return
        self._held += grown
        if following is None:
            now = time.monotonic()
            slowest = self.since + limits.head_timeout_s + body.size / limits.least_rate
            self._deadline = min(slowest, now + limits.read_timeout_s)
            return
        assert self._head is not None
        self._body = None
        self._start(self._head, body.take(), following)

    def _start(self, head: Head, body: bytes, following: bytes) -> None:
        self._buffer += following
        self._deadline = math.inf
        self.task = asyncio.get_running_loop().create_task(self._answer(head, body))

    async def _answer(self, head: Head, body: bytes) -> None:
        held, self._held = self._held, 0
        PEER.set(self._peer)
        try:
            response = await self._server.application.answer(head, body)
        finally:
            self._server.room.give_back(held)
        if isinstance(response, StreamedResponse):
            await self._stream(head, response)
            return
        transport = self._transport
        if transport is None:
            return
        keeps = head.keeps and not self._server.is_ending
        if large := self._write(transport, response, keeps=keeps, bare=head.method == "HEAD"):
            await self._flow.write(transport, large)
        self._finish(transport, keeps=keeps)

    async def _stream(self, head: Head, response: StreamedResponse) -> None:
        """Give on an answer in parts, no faster than the client reads; one that breaks off breaks off here, too."""
        transport = self._transport
        try:
            if transport is None:
                return
            keeps = head.keeps and not head.is_old and not self._server.is_ending
            transport.write(write_stream_head(response.headers, keeps=keeps, chunked=not head.is_old))
            while not transport.is_closing() and (part := await response.parts.next()):
                transport.write(part if head.is_old else b"%x\r\n%b\r\n" % (len(part), part))
                await self._flow.wait()
        except BrokenStreamError:
            self.abort()
            return
        finally:
            response.parts.close()
        if not head.is_old and not transport.is_closing():
            transport.write(b"0\r\n\r\n")
        # The end may have begun meanwhile.
        self._finish(transport, keeps=keeps and not self._server.is_ending)

    def _finish(self, transport: asyncio.Transport, *, keeps: bool) -> None:
        """Go on to the next request, or close the connection."""
        self.task = None
        if not keeps or transport.is_closing():
            transport.close()
            return
        self._begin_state(self._server.limits.idle_timeout_s)
        if self._is_paused:
            self._is_paused = False
            transport.resume_reading()
        if self._buffer and not self._is_stalled:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.waits and self._buffer:
            self.data_received(b"")

    def _begin_state(self, seconds: float) -> None:
        self.since = time.monotonic()
        self._deadline = self.since + seconds

    def _refuse_for_room(self) -> None:
        self._respond_and_close(refusal(503, "too many bytes are in flight; try again later", _RETRY))

    def _respond_and_close(self, response: Response) -> None:
        """Answer a request before it has come whole; for a moment, its remaining bytes are thrown away."""
        self._drop_body()
        self._buffer.clear()
        self._lingers = True
        self._begin_state(_LINGER_S)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._write(transport, response, keeps=False, bare=False)
        if transport.can_write_eof():
            transport.write_eof()

    def _drop_body(self) -> None:
        self._body = None
        held, self._held = self._held, 0
        self._server.room.give_back(held)

    def _write(self, transport: asyncio.Transport, response: Response, *, keeps: bool, bare: bool) -> bytes:
        """Write an answer; return its body where that is large and is still to be written."""
        bare = bare or response.status in _BODILESS
        head, body = write_head(response, keeps=keeps), b"" if bare else response.body
        if len(body) <= _JOINED:
            transport.write(head + body)
            return b""
        transport.write(head)
        return body


def write_head(response: Response, *, keeps: bool) -> bytes:
    """Return the head of an answer."""
    status = response.status
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
    lines += [f"{name}: {_one_line(value)}\r\n" for name, value in response.headers]
    # An answer of these has no body, and the second one states the length of what it stands for.
    if status not in _BODILESS:
        lines.append(f"Content-Length: {len(response.body)}\r\n")
    lines.append(f"Date: {_date()}\r\n" + ("\r\n" if keeps else "Connection: close\r\n\r\n"))
    return "".join(lines).encode("utf-8", "surrogateescape")


def write_stream_head(headers: Pairs, *, keeps: bool, chunked: bool) -> bytes:
    """Return the head of an answer of 200 in parts."""
    lines = [_STATUS_LINES[200], *(f"{name}: {_one_line(value)}\r\n" for name, value in headers)]
    if chunked:
        lines.append("Transfer-Encoding: chunked\r\n")
    lines.append(f"Date: {_date()}\r\n" + ("\r\n" if keeps else "Connection: close\r\n\r\n"))
    return "".join(lines).encode("utf-8", "surrogateescape")


_DATES: Final[list[tuple[int, str]]] = [(0, "")]


def _address_of(transport: asyncio.Transport) -> str:
    # A Unix socket's peer is a text without an address.
    found: object = transport.get_extra_info("peername")
    return str(cast("tuple[object, ...]", found)[0]) if isinstance(found, tuple) and found else ""


def _date() -> str:
    now = int(time.time())
    if _DATES[0][0] != now:
        _DATES[0] = now, formatdate(now, usegmt=True)
    return _DATES[0][1]


def _one_line(value: str) -> str:
    return value if value.isprintable() else "".join(each for each in value if each >= " " and each != "\x7f")
