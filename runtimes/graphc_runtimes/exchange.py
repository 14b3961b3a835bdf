"""One HTTP request and its answer on a connection: handed to an ASGI application, or answered by a handler."""

import asyncio
import http
import logging
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httptools

Header = tuple[bytes, bytes]
Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[[], Any], Callable[[Event], Any]], Any]

_LOG: Final = logging.getLogger("uvicorn.error")
_HIGH_WATER: Final = 65_536
"""Above this many unread bytes of a body the connection is not read from."""

_OF_BODIES: Final = frozenset({b"content-encoding", b"inference-header-content-length"})

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


STATUS_LINES: Final = {status: _status_line(status) for status in range(100, 600)}


class Connection(Protocol):
    """What an exchange needs of its connection."""

    def write(self, *parts: bytes | memoryview) -> None:
        """Send bytes."""
        ...

    def is_closing(self) -> bool:
        """Say whether nothing can be sent any more."""
        ...

    def finish(self, exchange: "Exchange") -> None:
        """Go on to the next request: this one is answered."""
        ...

    def abort(self) -> None:
        """End the connection."""
        ...

    def log_access(self, exchange: "Exchange", status: int) -> None:
        """Write the access log."""
        ...

    def pause_reading(self) -> None:
        """Read no more for now."""
        ...

    def resume_reading(self) -> None:
        """Read again."""
        ...

    async def drain(self) -> None:
        """Wait until what was written is nearly sent."""
        ...

    def default_headers(self) -> bytes:
        """Return the headers that every answer has."""
        ...

    def make_scope(self, exchange: "Exchange") -> Scope:
        """Return the ASGI scope of a request."""
        ...


class Headers(Mapping[str, str]):
    """A request's headers, decoded when somebody asks; of several with one name the first counts."""

    __slots__ = ("_decoded", "_raw")

    def __init__(self, raw: Sequence[Header]) -> None:
        self._raw = raw
        self._decoded: dict[str, str] | None = None

    def _decode(self) -> dict[str, str]:
        if self._decoded is None:
            self._decoded = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(self._raw)
            }
        return self._decoded

    def __getitem__(self, name: str) -> str:
        return self._decode()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decode())

    def __len__(self) -> int:
        return len(self._decode())


@dataclass(slots=True)
class Request:
    """The head of a request."""

    method: bytes
    url: bytes
    version: str
    headers: list[Header]
    keep_alive: bool
    expects_continue: bool
    _is_plain: bool | None = None
    _mapping: Headers | None = None

    @property
    def mapping(self) -> Headers:
        """The headers by name; a head that comes again is decoded once."""
        if self._mapping is None:
            self._mapping = Headers(self.headers)
        return self._mapping

    @property
    def is_plain(self) -> bool:
        """Whether the body is what it looks like: nothing that has to be unpacked, no raw tensors."""
        if self._is_plain is None:
            self._is_plain = not any(name in _OF_BODIES for name, _ in self.headers)
        return self._is_plain

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of a name in small letters."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Exchange(ABC):
    """A request that is being read or answered; what answers it is for the kinds below."""

    is_read = False
    is_started = False
    is_done = False
    is_disconnected = False

    def __init__(self, connection: Connection, request: Request) -> None:
        self.connection, self.request = connection, request

    @property
    def can_start(self) -> bool:
        """Whether enough has been read to begin with the answer."""
        return True

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""

    def end(self) -> None:
        """Note that the body is complete."""
        self.is_read = True

    @abstractmethod
    def start(self) -> None:
        """Begin with the answer: all requests before this one are answered."""

    def disconnect(self) -> None:
        """Note that the client is gone."""
        self.is_disconnected = True

    def send_continue(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self.request.expects_continue and not self.connection.is_closing():
            self.connection.write(CONTINUE)
        self.request.expects_continue = False

    def _complete(self) -> None:
        self.is_done = True
        self.connection.finish(self)


class AsgiExchange(Exchange):
    """A request that an ASGI application answers."""

    def __init__(self, connection: Connection, request: Request, app: Application) -> None:
        super().__init__(connection, request)
        self._app = app
        self._body = bytearray()
        self._wake = asyncio.Event()
        self._has_begun = False
        self._is_chunked: bool | None = None
        self._left = 0
        self.task: asyncio.Task[None] | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """Keep a piece of the body until the application asks."""
        if self.is_done:
            return
        self._body += data
        if len(self._body) > _HIGH_WATER:
            self.connection.pause_reading()
        self._wake.set()

    def end(self) -> None:
        """Note that the body is complete."""
        super().end()
        self._wake.set()

    def start(self) -> None:
        """Run the application."""
        self.is_started = True
        self.task = asyncio.get_running_loop().create_task(self._run())

    def disconnect(self) -> None:
        """Note that the client is gone."""
        super().disconnect()
        self._wake.set()

    async def _run(self) -> None:
        try:
            await self._app(self.connection.make_scope(self), self._receive, self._send)
        # The application is MLServer with the user's own handlers in it, which raise what they like.
        except Exception:
            _LOG.exception("Exception in ASGI application")
            if self._has_begun:
                self.connection.abort()
            else:
                await self._send_failure()
        else:
            if not self.is_done and not self.is_disconnected:
                _LOG.error("ASGI callable returned without completing response.")
                if self._has_begun:
                    self.connection.abort()
                else:
                    await self._send_failure()

    async def _send_failure(self) -> None:
        text = b"Internal Server Error"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"connection", b"close"),
        ]
        await self._send({"type": "http.response.start", "status": 500, "headers": headers})
        await self._send({"type": "http.response.body", "body": text})

    async def _receive(self) -> Event:
        self.send_continue()
        if not self.is_disconnected and not self.is_done and not self._body and not self.is_read:
            self.connection.resume_reading()
        if not self.is_disconnected and not self.is_done:
            await self._wake.wait()
            self._wake.clear()
        if self.is_disconnected or self.is_done:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        if not self.is_read:
            self.connection.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self.is_read}

    async def _send(self, event: Event) -> None:
        await self.connection.drain()
        if self.is_disconnected:
            return
        if not self._has_begun:
            self._send_head(event)
        elif not self.is_done:
            self._send_body(event)
        else:
            raise RuntimeError("an ASGI message was sent after the answer was complete")

    def _send_head(self, event: Event) -> None:
        if event["type"] != "http.response.start":
            raise RuntimeError(f"expected `http.response.start`, got `{event['type']}`")
        self._has_begun, status = True, int(event["status"])
        # A client that still waits to be told keeps its body to itself.
        self.request.expects_continue = False
        lines = [STATUS_LINES[status], self.connection.default_headers()]
        lines += [self._header(name.lower(), value) for name, value in event.get("headers", ())]
        has_close = any(line.startswith(b"connection: close") for line in lines)
        if not self.request.keep_alive and not has_close:
            lines.append(b"connection: close\r\n")
        if self._is_chunked is None and self.request.method != b"HEAD" and status not in (204, 304):
            self._is_chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        self.connection.log_access(self, status)
        self.connection.write(b"".join(lines) + b"\r\n")

    def _header(self, name: bytes, value: bytes) -> bytes:
        if b"\r" in value or b"\n" in value:
            raise RuntimeError("invalid value of an HTTP header")
        if name == b"content-length":
            self._left, self._is_chunked = int(value), False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self._is_chunked = True
        elif name == b"connection" and b"close" in value.lower():
            self.request.keep_alive = False
        return b"%b: %b\r\n" % (name, value)

    def _send_body(self, event: Event) -> None:
        body, is_last = event.get("body", b""), not event.get("more_body", False)
        if self.request.method == b"HEAD":
            self._left = 0
        elif self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if chunk or is_last:
                self.connection.write(chunk + (b"0\r\n\r\n" if is_last else b""))
        elif len(body) > self._left:
            raise RuntimeError("the body is longer than its content-length")
        else:
            self._left -= len(body)
            if body:
                self.connection.write(body)
        if is_last:
            if self._left:
                raise RuntimeError("the body is shorter than its content-length")
            self._wake.set()
            self._complete()


def parse_path(url: bytes) -> tuple[str, bytes, bytes]:
    """Return the decoded path, the raw path and the query of a request's target."""
    parsed = httptools.parse_url(url)
    raw: bytes = parsed.path
    path = raw.decode("ascii")
    return (urllib.parse.unquote(path) if "%" in path else path), raw, parsed.query or b""
