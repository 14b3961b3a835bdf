"""HTTP/1.1 for uvicorn: what a server's hot paths are asked is answered from the bytes, the rest by its application.

uvicorn takes a class like this as its `http`; it makes one for each connection.
"""

import asyncio
import logging
import weakref
from collections import deque
from typing import Any, Final, NamedTuple, Protocol, cast

import httptools
import numpy as np
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

_LOG: Final = logging.getLogger("uvicorn.error")
_ACCESS: Final = logging.getLogger("uvicorn.access")
_LARGE: Final = 65_536
"""A body that lacks more than this is read straight into its place."""
_ALIGNMENT: Final = 64
_OFFERS: Final = frozenset({b"upgrade", b"connection", b"http2-settings"})
_END: Final = b"\r\n\r\n"
_MOST_HEADS: Final = 16
_LONGEST_HEAD: Final = 2048
_UNLIKE_OTHERS: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
_SWEEP_S: Final = 1.0
_OPEN: Final[weakref.WeakSet["HttpProtocol"]] = weakref.WeakSet()


class HotExchange(Exchange):
    """A request that is answered from its bytes, once all of them are there."""

    def __init__(self, connection: "HttpProtocol", request: Request) -> None:
        super().__init__(connection, request)
        self.parts: list[bytes] = []
        self.size = 0
        self.buffer: memoryview | None = None

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

    def start(self) -> None:
        """Answer."""
        self.is_started = True
        cast("HttpProtocol", self.connection).settings.handler.handle(self)

    def respond(self, status: int, head: bytes, *parts: bytes | memoryview) -> None:
        """Send an answer: its headers but the common ones, and its body."""
        connection = self.connection
        if self.is_done:
            return
        if not (self.is_disconnected or connection.is_closing()):
            length = len(parts[0]) if len(parts) == 1 else sum(map(len, parts))
            close = b"" if self.request.keep_alive else b"connection: close\r\n"
            connection.log_access(self, status)
            connection.write(
                b"%b%b%bcontent-length: %d\r\n%b\r\n"
                % (STATUS_LINES[status], connection.default_headers(), head, length, close),
                *parts,
            )
        self._complete()

    def delegate(self) -> None:
        """Let the application answer, which finds the request as it came."""
        cast("HttpProtocol", self.connection).replay(self)


class Handler(Protocol):
    """What answers the hot paths."""

    def knows(self, request: Request) -> bool:
        """Say whether a request is for a hot path."""
        ...

    def handle(self, exchange: HotExchange) -> None:
        """Answer a request, now or later."""
        ...


class Settings:
    """What the connections of a server share."""

    def __init__(self, handler: Handler, *, max_body: int, max_head: int, patience_s: float) -> None:
        self.handler, self.max_body, self.max_head, self.patience_s = handler, max_body, max_head, patience_s
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
        self._heard = self._head_began = self._loop.time()

    # --- What asyncio calls --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._state.connections.add(cast("Any", self))
        self._client = _address(transport.get_extra_info("peername"))
        self._server = _address(transport.get_extra_info("sockname"))
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        _OPEN.add(self)
        if not self.settings.is_sweeping:
            self.settings.is_sweeping = True
            self._loop.call_later(_SWEEP_S, _sweep, self._loop, self.settings)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request that is not answered yet."""
        self._state.connections.discard(cast("Any", self))
        _OPEN.discard(self)
        for exchange in self._queue:
            exchange.disconnect()
        self._writable.set()
        if exc is None:
            self._transport.close()

    def eof_received(self) -> bool | None:
        """Let a client that only stopped sending have its answers."""
        return None

    def data_received(self, data: bytes) -> None:
        """Parse what came; a request that is complete is answered in here, if that is short."""
        self._heard = self._loop.time()
        was_in_head = self._in_head
        is_whole = not (self._queue or was_in_head or self._reading is not None or self._is_refused)
        if is_whole and self._recall(data):
            return
        self._last = None
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if not self._is_refused:
                _LOG.warning("Invalid HTTP request received.")
                self._refuse(400, b"text/plain; charset=utf-8", b"Invalid HTTP request received.")
            return
        if was_in_head and self._in_head:
            self._head_size += len(data)
            if self._head_size > self.settings.max_head:
                self._refuse_head()
        self._read_large()
        if is_whole and self._last is not None:
            self._remember(data, self._last)

    # --- Heads that come again -----------------------------------------------------------------------
    # A client's requests have the same head, but for the length of the body. Bytes that were parsed once, from the
    # state that a parser is in between two requests, give the same request when they are parsed again.

    def _recall(self, data: bytes) -> bool:
        """Answer a whole request whose head came before; say whether it did."""
        if not self._heads:
            return False
        start = data.find(_END) + len(_END)
        known = self._heads.get(data[:start])
        if known is None or len(data) - start != known.length or not self._writable.is_set():
            return False
        exchange = HotExchange(self, known.request)
        exchange.feed(data[start:])
        exchange.is_read = True
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
        if start > _LONGEST_HEAD or not request.keep_alive or exchange.body != data[start:]:
            return
        if len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
        self._heads[head] = _Head(request, exchange.size)

    def _writes_length(self, request: Request) -> bool:
        """Say whether a request has a length, and nothing that asks for more than an answer."""
        names = [name for name, _ in request.headers]
        return names.count(b"content-length") == 1 and _UNLIKE_OTHERS.isdisjoint(names)

    def pause_writing(self) -> None:
        """Let those who write wait: the client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let those who wait write again."""
        self._writable.set()
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
                self._refuse(400, b"text/plain; charset=utf-8", b"This server is no proxy.")
            return
        version = parser.get_http_version()
        keep_alive = version != "1.0" and parser.should_keep_alive()
        request = Request(parser.get_method(), self._url, version, self._headers, keep_alive, False)
        expect = request.header(b"expect")
        request.expects_continue = expect is not None and expect.lower() == b"100-continue"
        if self._is_refused:
            return
        if self._head_size + len(self._url) > self.settings.max_head:
            self._refuse_head()
            return
        if self.settings.handler.knows(request):
            if _length_of(request) > self.settings.max_body:
                self._refuse_body()
                return
            exchange: Exchange = HotExchange(self, request)
        else:
            exchange = AsgiExchange(self, request, self._app)
        self._reading = exchange
        # Of several in what came at once none is the whole of it.
        self._last = exchange if self._last is None and isinstance(exchange, HotExchange) else None
        self._queue.append(exchange)
        if len(self._queue) > 1:
            self.pause_reading()
        elif isinstance(exchange, HotExchange):
            exchange.send_continue()
        self._advance()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        exchange = self._reading
        if exchange is None or self._is_refused:
            return
        exchange.feed(body)
        if isinstance(exchange, HotExchange) and exchange.size > self.settings.max_body:
            self._refuse_body()

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
        reader = _BodyReader(self, exchange, missing)
        self._switch(reader)

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
        self._switch(self)
        self.heard()
        self.on_message_complete()

    def heard(self) -> None:
        """Note that the client still sends."""
        self._heard = self._loop.time()

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
        if not exchange.request.keep_alive or self._transport.is_closing():
            self._transport.close()
            return
        self._advance()

    def replay(self, exchange: HotExchange) -> None:
        """Let the application answer a request in its turn."""
        body = exchange.body
        cold = AsgiExchange(self, exchange.request, self._app)
        if body:
            cold.feed(body)
        cold.end()
        exchange.is_done = True
        self._queue[0] = cold
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
        """End the connection once what it asked is answered; uvicorn calls this when it is told to end."""
        if not self._queue:
            self._transport.close()
        for exchange in self._queue:
            exchange.request.keep_alive = False

    # --- Limits --------------------------------------------------------------------------------------

    def _refuse_head(self) -> None:
        self._refuse(431, b"application/json", b'{"error":"the head of the request is too large"}')

    def _refuse_body(self) -> None:
        text = f'{{"error":"the body is larger than {self.settings.max_body} bytes"}}'
        self._refuse(413, b"application/json", text.encode())

    def _refuse(self, status: int, kind: bytes, text: bytes) -> None:
        """Answer a request that will not be read to its end, and end the connection."""
        self._is_refused = True
        if self._transport.is_closing():
            return
        # Clients with answers outstanding would take this one for theirs.
        outstanding = [each for each in self._queue if each is not self._reading and not each.is_done]
        if not outstanding:
            self._transport.write(
                b"%b%bcontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
                % (STATUS_LINES[status], self.default_headers(), kind, len(text), text)
            )
        self._transport.close()

    def check_time(self, now: float) -> None:
        """End a connection that is idle, or whose client sends or reads too slowly."""
        silent, patience = now - self._heard, self.settings.patience_s
        if self._in_head or self._reading is not None:
            slow = now - self._head_began if self._in_head else silent
            if slow > patience and not self._is_paused:
                text = b'{"error":"the request did not come in time"}'
                self._refuse(408, b"application/json", text)
        elif not self._queue and silent > self._config.timeout_keep_alive and self._writable.is_set():
            self._transport.close()
        if not self._writable.is_set() and silent > patience:
            self._transport.abort()


class _BodyReader(asyncio.BufferedProtocol):
    """Reads the rest of one body from the socket into the body's own memory."""

    def __init__(self, protocol: HttpProtocol, exchange: HotExchange, missing: int) -> None:
        self._protocol, self._exchange = protocol, exchange
        total = exchange.size + missing
        raw = exchange.request.header(b"inference-header-content-length") or b"0"
        memory = np.empty(total + _ALIGNMENT, np.uint8)
        # The first raw tensor, which lies behind the JSON, begins at an address that suits every framework.
        start = -(int(memory.ctypes.data) + (int(raw) if raw.isdigit() else 0)) % _ALIGNMENT
        self._view = memoryview(cast("bytearray", memory))[start : start + total]
        self._filled = exchange.size
        self._view[: self._filled] = b"".join(exchange.parts)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the memory that is still to be filled."""
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Note what came; the last piece hands the connection back."""
        self._filled += nbytes
        self._protocol.heard()
        if self._filled == len(self._view):
            self._exchange.buffer = self._view
            self._exchange.size = len(self._view)
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
    raw = request.header(b"content-length")
    return int(raw) if raw and raw.isdigit() else 0


def _sweep(loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
    """Look after connections once a second: a timer for each request would cost more than the rest of it."""
    now = loop.time()
    mine = [each for each in _OPEN if each.settings is settings]
    for each in mine:
        each.check_time(now)
    settings.is_sweeping = bool(mine)
    if mine:
        loop.call_later(_SWEEP_S, _sweep, loop, settings)
