"""HTTP/1.1 for uvicorn: what a server's hot paths are asked is answered from the bytes, the rest by its application.

uvicorn takes a class like this as its `http`; it makes one for each connection.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, cast

import httptools
import numpy as np
import orjson
from uvicorn.config import Config
from uvicorn.server import ServerState

from graphc_runtimes.exchange import (
    STATUS_LINES,
    Application,
    AsgiExchange,
    Exchange,
    Header,
    Request,
    Scope,
    parse_path,
)
from graphc_runtimes.pressure import Connections
from graphc_runtimes.room import Room
from graphc_runtimes.unpack import unpack

_LOG: Final = logging.getLogger("uvicorn.error")
_ACCESS: Final = logging.getLogger("uvicorn.access")
_LARGE: Final = 65_536
"""A body that lacks more than this is read straight into its place."""
_ALIGNMENT: Final = 64
_JSON: Final = b"content-type: application/json\r\n"
_RETRY: Final = b"retry-after: 1\r\n"
_OFFERS: Final = frozenset({b"upgrade", b"connection", b"http2-settings"})
_END: Final = b"\r\n\r\n"
_MOST_HEADS: Final = 16
_LONGEST_HEAD: Final = 2048
_UNLIKE_OTHERS: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
_SWEEP_S: Final = 1.0
_LAST_S: Final = 1.0
"""For how long after its last bytes a connection stays when the server ends."""

_LINGER_S: Final = 5.0
"""A client that is refused may go on sending as long: it would not see the answer if the connection ended at once."""
_MOST_LINGERING: Final = 2**26
_DIGITS: Final = 18
_MOST_OTHER: Final = 2**16
"""The largest body of a request that is not for inference."""
_ROOM: Final = 2**32


class Refusal(NamedTuple):
    """The answer to a request that is not read to its end."""

    status: int
    text: str
    head: bytes = b""


class HotExchange(Exchange):
    """A request that is answered from its bytes, once all of them are there."""

    size = 0
    buffer: memoryview | None = None
    refusal: Refusal | None = None
    on_gone: Callable[[], None] | None = None
    """Called once the client is gone, while the request is being answered."""
    _held = 0
    _is_chunked = False

    def __init__(self, connection: "HttpProtocol", request: Request, handler: "Handler", most: int) -> None:
        super().__init__(connection, request)
        self.handler, self.most = handler, most
        self.parts: list[bytes] = []

    def feed_all(self, body: bytes) -> None:
        """Take the whole body."""
        self.parts.append(body)
        self.size, self.is_read = len(body), True

    @property
    def can_start(self) -> bool:
        """Whether the body is complete."""
        return self.is_read

    @property
    def body(self) -> bytes | memoryview:
        """The body, in one piece."""
        if self.buffer is not None:
            return self.buffer
        if len(self.parts) != 1:
            self.parts = [b"".join(self.parts)]
        return self.parts[0]

    def feed(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self.parts.append(data)
        self.size += len(data)

    def hold(self, count: int) -> bool:
        """Count bytes of the body among those that are in flight; says whether there is room for them."""
        if not cast("HttpProtocol", self.connection).settings.room.take(count):
            return False
        self._held += count
        return True

    def unpack(self, coding: bytes) -> memoryview:
        """Return the body unpacked; raises RequestError and BusyError."""
        found = unpack(self.body, coding, self.most, cast("HttpProtocol", self.connection).settings.room)
        self._held += len(found)
        return found

    def drop(self) -> None:
        """Let go of the body, and of its room."""
        self.parts.clear()
        self.buffer = None
        if self._held:
            held, self._held = self._held, 0
            cast("HttpProtocol", self.connection).give_back(held)

    def disconnect(self) -> None:
        """Note that the client is gone; a body that no worker reads is let go of."""
        super().disconnect()
        if not self.is_started:
            self.drop()
        elif self.on_gone is not None:
            self.on_gone()

    def start(self) -> None:
        """Answer."""
        self.is_started = True
        if self.refusal is not None:
            status, text, head = self.refusal
            self.respond(status, _JSON + head, orjson.dumps({"error": text}))
        else:
            self.handler.handle(self)

    def respond(self, status: int, head: bytes, *parts: bytes | memoryview) -> None:
        """Send an answer: its headers but the common ones, and its body."""
        connection = self.connection
        if self.is_done:
            return
        if not (self.is_disconnected or connection.is_closing()):
            if self.request.method == b"HEAD":
                parts = (b"",)
            length = len(parts[0]) if len(parts) == 1 else sum(map(len, parts))
            close = b"" if self.request.keep_alive else b"connection: close\r\n"
            connection.log_access(self, status)
            connection.write(
                b"%b%b%bcontent-length: %d\r\n%b\r\n"
                % (STATUS_LINES[status], connection.default_headers(), head, length, close),
                *parts,
            )
        self.drop()
        self._complete()

    # --- An answer in parts ----------------------------------------------------------------------------

    def begin(self, head: bytes) -> None:
        """Send the head of an answer of 200 whose body comes in parts; `head` has what is not common."""
        connection, request = self.connection, self.request
        # A client of HTTP/1.0 has the end of the connection for that of the body.
        self._is_chunked = request.version != "1.0"
        if self.is_disconnected or connection.is_closing():
            return
        connection.log_access(self, 200)
        chunked = b"transfer-encoding: chunked\r\n" if self._is_chunked else b""
        close = b"" if request.keep_alive else b"connection: close\r\n"
        connection.write(
            b"%b%b%b%b%b\r\n" % (STATUS_LINES[200], connection.default_headers(), head, chunked, close)
        )

    async def send(self, part: bytes) -> None:
        """Send a part of the body, and wait until the client has read most of what was sent."""
        if not (self.is_disconnected or self.connection.is_closing()):
            self.connection.write(b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part)
            await self.connection.drain()

    def finish(self) -> None:
        """End the body."""
        if self._is_chunked and not (self.is_disconnected or self.connection.is_closing()):
            self.connection.write(b"0\r\n\r\n")
        self.drop()
        self._complete()


class Handler(Protocol):
    """What answers requests from their bytes."""

    def knows(self, request: Request) -> bool:
        """Say whether a request is answered here."""
        ...

    def handle(self, exchange: HotExchange) -> None:
        """Answer a request, now or later."""
        ...


class Settings:
    """What the connections of a server share."""

    def __init__(
        self,
        handler: Handler,
        *,
        max_body: int,
        max_head: int,
        patience_s: float,
        idle_s: float = 120,
        least_rate: int = 1024,
        connections: int = 4096,
        room: Room | None = None,
        streams: Handler | None = None,
        others: Handler | None = None,
    ) -> None:
        self.handler, self.max_body, self.max_head, self.patience_s = handler, max_body, max_head, patience_s
        self.idle_s, self.least_rate, self.room, self.others = idle_s, least_rate, room or Room(_ROOM), others
        self.streams = streams
        self.open = Connections(connections)
        self.is_sweeping = False
        self._headers: tuple[object, bytes] = (None, b"")

    def default_headers(self, state: ServerState) -> bytes:
        """Return the date and the server's name as uvicorn has them, which makes a new list each second."""
        listed = state.default_headers
        if self._headers[0] is not listed:
            self._headers = listed, b"".join(b"%b: %b\r\n" % header for header in listed)
        return self._headers[1]


class _Head(NamedTuple):
    """The head of a request that a connection has parsed before, and how long the body behind it is."""

    request: Request
    length: int
    handler: Handler
    most: int


class HttpProtocol(asyncio.Protocol):
    """One connection."""

    settings: Settings

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config, self._state, self._app_state = config, server_state, app_state
        self._app = cast("Application", config.loaded_app)  # pyright: ignore[reportUnknownMemberType]
        self._loop = _loop or asyncio.get_event_loop()
        self._logs_access = _ACCESS.hasHandlers()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._queue: deque[Exchange] = deque()
        self._reading: Exchange | None = None
        self._is_advancing = False
        self._is_refused = False
        self._is_paused = False
        self._is_lingering = self._has_asked = self._is_ending = False
        self._discarded = self._unsent = 0
        self._owed = 0
        self._ends_at: float | None = None
        self._reader: _BodyReader | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int] | None = None
        self._scheme = "http"
        self._method = self._url = b""
        self._headers: list[Header] = []
        self._head_size = 0
        self._in_head = False
        self._heads: dict[bytes, _Head] = {}
        self._last: HotExchange | None = None
        self._heard = self._head_began = self._body_began = self._paused_at = self._loop.time()

    # --- What asyncio calls --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))
        self._client = _address(transport.get_extra_info("peername"))
        self._server = _address(transport.get_extra_info("sockname"))
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        settings = self.settings
        if not settings.open.admit(self, self._loop.time()):
            self.refuse(503, "the unit has as many connections as it takes; try again", _RETRY)
            self._transport.close()
        if not settings.is_sweeping:
            settings.is_sweeping = True
            self._loop.call_later(_SWEEP_S, _sweep, self._loop, settings)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request that is not answered yet."""
        self._state.connections.discard(cast("Any", self))
        self.settings.open.discard(self)
        for exchange in self._queue:
            exchange.disconnect()
        self._reading = self._reader = self._last = None
        self._writable.set()
        self._settle()
        if exc is None:
            self._transport.close()

    def eof_received(self) -> bool | None:
        """Let the connection end: a client that stopped sending counts as one that has left."""
        return None

    def data_received(self, data: bytes) -> None:
        """Parse what came; a request that is complete is answered in here, if that is short."""
        self._heard = self._loop.time()
        if self._is_refused:
            self._discard(len(data))
            return
        was_in_head = self._in_head
        is_whole = not (self._queue or was_in_head or self._reading is not None or self._is_refused)
        if is_whole and self._recall(data):
            return
        self._last = None
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.refuse(400, "this is not HTTP/1.1")
            return
        if was_in_head and self._in_head:
            self._head_size += len(data)
            if self._head_size > self.settings.max_head:
                self._refuse_head()
        self._read_large()
        last, self._last = self._last, None
        if is_whole and last is not None:
            self._remember(data, last)

    # --- Heads that come again -----------------------------------------------------------------------
    # A client's requests have the same head, but for the length of the body. Bytes that were parsed once, from the
    # state that a parser is in between two requests, give the same request when they are parsed again.

    def _recall(self, data: bytes) -> bool:
        """Answer a whole request whose head came before; say whether it did."""
        if not self._heads or self._is_ending:
            return False
        start = data.find(_END) + len(_END)
        known = self._heads.get(data[:start])
        if known is None or len(data) - start != known.length or not self._writable.is_set():
            return False
        exchange = HotExchange(self, known.request, known.handler, known.most)
        exchange.feed_all(data[start:])
        self._head_began = self._heard
        self._queue.append(exchange)
        self._is_advancing = True
        try:
            exchange.start()
        finally:
            self._is_advancing = False
        if exchange.is_done and self._queue[0] is exchange:
            self._queue.popleft()
        else:
            # It is answered later, or by the application.
            self._advance()
        return True

    def _remember(self, data: bytes, exchange: HotExchange) -> None:
        """Keep the head of a request that was the whole of what came."""
        request, start = exchange.request, len(data) - exchange.size
        head = data[:start]
        is_whole = exchange.is_read and not (self._in_head or self._reading) and self._writes_length(request)
        if not is_whole or not head.endswith(_END) or head.find(_END) + len(_END) != start:
            return
        if start > _LONGEST_HEAD or not request.keep_alive or exchange.refusal is not None:
            return
        if len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
        self._heads[head] = _Head(request, exchange.size, exchange.handler, exchange.most)

    def _writes_length(self, request: Request) -> bool:
        """Say whether a request has a length, and nothing that asks for more than an answer."""
        names = [name for name, _ in request.headers]
        return names.count(b"content-length") == 1 and _UNLIKE_OTHERS.isdisjoint(names)

    def pause_writing(self) -> None:
        """Let those who write wait: the client reads too slowly."""
        self._writable.clear()
        self._paused_at, self._unsent = self._loop.time(), self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """Let those who wait write again."""
        self._writable.set()
        self._settle()
        self._advance()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # A server may go on with HTTP/1.1, and clients that offer HTTP/2 count on it.
            rest = data[int(upgrade.args[0]) :]
            self._parser = httptools.HttpRequestParser(self)
            if not self._is_refused:
                self._feed(self._write_head() + rest)

    def _write_head(self) -> bytes:
        """Return the head of a request without its offer of another protocol, behind which no body is read."""
        lines = [b"%b %b HTTP/1.1" % (self._method, self._url)]
        lines += [b"%b: %b" % header for header in self._headers if header[0] not in _OFFERS]
        return b"\r\n".join([*lines, b"", b""])

    # --- What the parser calls -----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Start a request."""
        self._url = b""
        self._headers = []
        self._head_size = 0
        self._in_head = True
        self._head_began = self._heard

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._head_size += len(name) + len(value)
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Find out who answers."""
        self._in_head = False
        parser = self._parser
        if parser.should_upgrade():
            self._method = parser.get_method()
            if self._method == b"CONNECT":
                self.refuse(400, "this server is no proxy")
            return
        version = parser.get_http_version()
        keep_alive = version != "1.0" and parser.should_keep_alive() and not self._is_ending
        request = Request(parser.get_method(), self._url, version, self._headers, keep_alive, False)
        expect = request.header(b"expect")
        request.expects_continue = expect is not None and expect.lower() == b"100-continue"
        if self._is_refused:
            return
        if self._head_size + len(self._url) > self.settings.max_head:
            self._refuse_head()
            return
        exchange, self._body_began, self._has_asked = self._choose(request), self._heard, True
        if isinstance(exchange, HotExchange) and _length_of(request) > exchange.most:
            self._refuse_body(exchange)
            return
        self._reading = exchange
        # Of several in what came at once none is the whole of it.
        self._last = exchange if self._last is None and isinstance(exchange, HotExchange) else None
        self._queue.append(exchange)
        if len(self._queue) > 1:
            self.pause_reading()
        elif isinstance(exchange, HotExchange):
            exchange.send_continue()
        self._advance()

    def _choose(self, request: Request) -> Exchange:
        """Return who answers a request, and how much of a body may be asked for."""
        settings = self.settings
        if settings.handler.knows(request):
            return HotExchange(self, request, settings.handler, settings.max_body)
        if settings.streams is not None and settings.streams.knows(request):
            return HotExchange(self, request, settings.streams, settings.max_body)
        if settings.others is not None and settings.others.knows(request):
            return HotExchange(self, request, settings.others, min(_MOST_OTHER, settings.max_body))
        return AsgiExchange(self, request, self._app)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        exchange = self._reading
        if exchange is None or self._is_refused:
            return
        exchange.feed(body)
        if not isinstance(exchange, HotExchange):
            return
        if exchange.size > exchange.most:
            self._refuse_body(exchange)
        elif not exchange.hold(len(body)):
            self._refuse_full(exchange)

    def on_message_complete(self) -> None:
        """Answer what is complete."""
        exchange, self._reading = self._reading, None
        if exchange is not None and not self._is_refused:
            exchange.end()
            self._advance()

    # --- Large bodies --------------------------------------------------------------------------------

    def _read_large(self) -> None:
        """Read the rest of a large body straight into the memory that the arrays will be views of."""
        exchange = self._reading
        if not isinstance(exchange, HotExchange) or self._is_refused or self._queue[-1] is not exchange:
            return
        missing = _length_of(exchange.request) - exchange.size
        if missing <= _LARGE or self._transport.is_closing():
            return
        # The parser never sees the rest of this message; the next one gets a parser of its own.
        self._parser = httptools.HttpRequestParser(self)
        self._reader = _BodyReader(self, exchange, missing)
        self._switch(self._reader)

    def _switch(self, protocol: asyncio.BaseProtocol) -> None:
        # A transport chooses how it reads when it starts to.
        paused = self._is_paused
        if not paused:
            self._transport.pause_reading()
        self._transport.set_protocol(protocol)
        if not paused:
            self._transport.resume_reading()

    def take_large(self) -> None:
        """Go on after a body that was read straight into its place."""
        self._reader = None
        self._switch(self)
        self.heard()
        self.on_message_complete()

    def heard(self) -> None:
        """Note that the client still sends."""
        self._heard = self._loop.time()

    def hold(self, exchange: HotExchange, count: int) -> bool:
        """Count bytes that came; says whether there was room for them, else the request is refused."""
        self.heard()
        if exchange.hold(count):
            return True
        self._refuse_full(exchange)
        return False

    def give_back(self, count: int) -> None:
        """Give back the room of a request: an answer takes as much until its client has read it."""
        self._owed += count
        if self._writable.is_set():
            self._settle()

    def _settle(self) -> None:
        owed, self._owed = self._owed, 0
        self.settings.room.give_back(owed)

    # --- Answers -------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Start the oldest request that is not answered, if it can start; one after the other."""
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            while self._queue and self._writable.is_set():
                exchange = self._queue[0]
                if exchange.is_done:
                    self._queue.popleft()
                    continue
                if exchange.is_started:
                    break
                if isinstance(exchange, HotExchange) and not exchange.is_read:
                    exchange.send_continue()
                if not exchange.can_start:
                    break
                exchange.start()
                if isinstance(exchange, AsgiExchange) and exchange.task is not None:
                    self._state.tasks.add(exchange.task)
                    exchange.task.add_done_callback(self._state.tasks.discard)
        finally:
            self._is_advancing = False
        if len(self._queue) <= 1:
            self.resume_reading()

    def finish(self, exchange: Exchange) -> None:
        """Go on to the next request."""
        self._state.total_requests += 1
        self._heard = self._loop.time()
        if self._is_refused and exchange is self._queue[-1]:
            self._linger()
            return
        if not exchange.request.keep_alive or self._transport.is_closing():
            self._transport.close()
        elif not self._is_advancing:
            self._advance()

    def write(self, *parts: bytes | memoryview) -> None:
        """Send bytes."""
        if len(parts) == 2 and len(parts[1]) < _LARGE:
            self._transport.write(b"".join(parts))
            return
        for part in parts:
            self._transport.write(part)

    def is_closing(self) -> bool:
        """Say whether nothing can be sent any more."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """End the connection."""
        self._transport.close()

    async def drain(self) -> None:
        """Wait until what was written is nearly sent."""
        if not self._writable.is_set():
            await self._writable.wait()

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self._is_paused and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def default_headers(self) -> bytes:
        """Return the headers that every answer has."""
        return self.settings.default_headers(self._state)

    def log_access(self, exchange: Exchange, status: int) -> None:
        """Write uvicorn's access log, where it is on."""
        if not self._logs_access:
            return
        client = ":".join(map(str, self._client)) if self._client else ""
        request = exchange.request
        target = request.url.decode("latin-1")
        _ACCESS.info(
            '%s - "%s %s HTTP/%s" %d', client, request.method.decode(), target, request.version, status
        )

    def make_scope(self, exchange: Exchange) -> Scope:
        """Return the ASGI scope of a request."""
        request, root = exchange.request, self._config.root_path
        path, raw, query = parse_path(request.url)
        return {
            "type": "http",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "http_version": request.version,
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "root_path": root,
            "method": request.method.decode("ascii"),
            "path": root + path,
            "raw_path": root.encode() + raw,
            "query_string": query,
            "headers": request.headers,
            "state": self._app_state.copy(),
        }

    def shutdown(self) -> None:
        """End the connection once what it asked is answered; uvicorn calls this when it is told to end.

        A client that asked a moment ago may be asking again right now, and would lose that request. Its next answer
        tells it to connect anew, if it comes soon.
        """
        self._is_ending = True
        for exchange in self._queue:
            exchange.request.keep_alive = False
        self._loop.call_later(max(self._heard + _LAST_S - self._loop.time(), 0), self._end_idle)

    def _end_idle(self) -> None:
        # A request that came in part has its time as any other has, and is the last of its connection.
        if self._is_idle:
            self._transport.close()

    # --- Limits --------------------------------------------------------------------------------------

    def _refuse_head(self) -> None:
        self.refuse(431, "the head of the request is too large")

    def _refuse_body(self, exchange: HotExchange) -> None:
        self.refuse(413, f"the body is larger than {exchange.most} bytes", of=exchange)

    def _refuse_full(self, exchange: HotExchange) -> None:
        self.refuse(503, "the unit has as many bytes in flight as it takes; try again", _RETRY, of=exchange)

    def refuse(self, status: int, text: str, head: bytes = b"", of: HotExchange | None = None) -> None:
        """Answer a request that will not be read to its end, in its turn, and end the connection."""
        if self._is_refused or self._transport.is_closing():
            return
        self._is_refused = True
        reading, self._reading = self._reading, None
        if isinstance(reading, AsgiExchange):
            # The application has begun with what will not come.
            reading.disconnect()
            self._transport.close()
            return
        if self._reader is not None:
            self._reader = None
            self._switch(self)
        exchange = of or reading
        if not isinstance(exchange, HotExchange):
            method = self._method or b"GET"
            exchange = HotExchange(
                self, Request(method, self._url, "1.1", [], False, False), self.settings.handler, 0
            )
        exchange.drop()
        exchange.refusal, exchange.is_read, exchange.request.keep_alive = (
            Refusal(status, text, head),
            True,
            False,
        )
        exchange.request.expects_continue = False
        if exchange not in self._queue:
            self._queue.append(exchange)
        self.resume_reading()
        self._advance()

    def _linger(self) -> None:
        """End the connection once the client has stopped sending, or soon."""
        self._ends_at, self._is_lingering = self._loop.time() + _LINGER_S, True
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > _MOST_LINGERING:
            self._transport.abort()

    def check_time(self, now: float) -> None:
        """End a connection that is idle, or whose client sends or reads too slowly."""
        if self._ends_at is not None and now > self._ends_at:
            self._transport.abort()
        elif not self._writable.is_set():
            self._check_reading(now)
        elif self._transport.is_closing():
            # What is left to be sent has as long as a client may be silent.
            self._ends_at = self._ends_at or now + self.settings.patience_s
        elif self._is_too_slow(now) and not self._is_paused:
            self.refuse(408, "the request did not come in time")
        elif self._is_idle and now - self._heard > self._longest_idle:
            self._transport.close()

    @property
    def _is_idle(self) -> bool:
        return not (self._queue or self._in_head or self._reading or self._is_refused)

    @property
    def _longest_idle(self) -> float:
        return self.settings.idle_s if self._has_asked else self.settings.patience_s

    def _is_too_slow(self, now: float) -> bool:
        patience = self.settings.patience_s
        if self._in_head:
            return now - self._head_began > patience
        return self._reading is not None and (
            now - self._heard > patience or self._lacks(now - self._body_began - patience)
        )

    def _lacks(self, seconds: float) -> bool:
        """Say whether fewer bytes of the body have come than in so many seconds should."""
        exchange = self._reading
        return isinstance(exchange, HotExchange) and exchange.size < seconds * self.settings.least_rate

    def _check_reading(self, now: float) -> None:
        """End a connection whose client does not read an answer, or too little of it."""
        seconds = now - self._paused_at
        if seconds <= self.settings.patience_s:
            return
        unsent = self._transport.get_write_buffer_size()
        if self._unsent - unsent <= self.settings.least_rate * seconds:
            self._transport.abort()
        else:
            self._paused_at, self._unsent = now, unsent

    def waits(self, now: float) -> float | None:
        """Return for how many seconds nothing but the client's silence keeps a connection; None for one at work."""
        if self._is_refused or self._transport.is_closing():
            return None
        if self._is_idle:
            return now - self._heard
        if self._in_head and not self._queue:
            return now - self._head_began
        if len(self._queue) != 1 or self._queue[0] is not self._reading or self._is_paused:
            return None
        began = now - self._body_began
        return began if self._lacks(began) else None

    def evict(self) -> None:
        """Make room for another connection."""
        if self._is_idle:
            self._transport.close()
        else:
            self.refuse(408, "the request comes too slowly for as many connections as there are")
            self._transport.abort()


class _BodyReader(asyncio.BufferedProtocol):
    """Reads the rest of one body from the socket into the body's own memory."""

    def __init__(self, protocol: HttpProtocol, exchange: HotExchange, missing: int) -> None:
        self._protocol, self._exchange = protocol, exchange
        total = exchange.size + missing
        raw = _to_number(exchange.request.header(b"inference-header-content-length"))
        memory = np.empty(total + _ALIGNMENT, np.uint8)
        # The first raw tensor, which lies behind the JSON, begins at an address that suits every framework.
        start = -(int(memory.ctypes.data) + raw) % _ALIGNMENT
        self._view = memoryview(cast("bytearray", memory))[start : start + total]
        self._filled = exchange.size
        self._view[: self._filled] = b"".join(exchange.parts)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the memory that is still to be filled."""
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Note what came; the last piece hands the connection back."""
        self._filled += nbytes
        self._exchange.size = self._filled
        if not self._protocol.hold(self._exchange, nbytes):
            return
        if self._filled == len(self._view):
            self._exchange.buffer = self._view
            self._protocol.take_large()

    def eof_received(self) -> bool | None:
        """Let the connection end."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell the connection."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Tell the connection."""
        self._protocol.resume_writing()


def _address(found: object) -> tuple[str, int] | None:
    # A Unix socket's is text.
    if isinstance(found, tuple):
        host, port = cast("tuple[object, object]", found[:2])
        return str(host), int(str(port))
    return None


def _length_of(request: Request) -> int:
    return _to_number(request.header(b"content-length"))


def _to_number(text: bytes | None) -> int:
    # int() takes the longer the more digits there are, and no length has more.
    return int(text[:_DIGITS]) if text and text.isdigit() else 0


def _sweep(loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
    """Look after connections once a second: a timer for each request would cost more than the rest of it."""
    now = loop.time()
    for each in settings.open.all():
        each.check_time(now)
    settings.is_sweeping = bool(settings.open.all())
    if settings.is_sweeping:
        loop.call_later(_SWEEP_S, _sweep, loop, settings)
