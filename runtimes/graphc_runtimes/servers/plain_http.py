"""Calls over http://: HTTP/1.1 on kept sockets, with little between a call and the network.

urllib3 took a quarter of a millisecond of a call, which is as long as a small model takes. llhttp, by httptools, reads
the answers: it refuses heads that can be read in two ways.
"""

import contextlib
import select
import socket
import time
import weakref
import zlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

import httptools

from graphc_runtimes.servers import transport
from graphc_runtimes.servers.dialect import Answer
from graphc_runtimes.servers.transport import CONNECT_S, KEPT, Bounds, TransportError

_PIECE: Final = 2**16
_SMALL: Final = 2**16
"""A body of fewer bytes travels with its head in one piece."""
_LEAST_S: Final = 1e-6
"""No time at all would mean to a socket that it is not to wait, and to fail in another way."""
_OF_URLS: Final = "/%:@!$&'()*+,;=~-._"
"""What stands in the path of a URL as it is."""
_PORTS: Final = {"http": 80, "https": 443}
_VERSIONS: Final = frozenset({"1.1", "1.0"})
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Place(NamedTuple):
    """Where the calls to a URL go."""

    address: tuple[str, int]
    shown: str
    """What the `Host` header says."""
    root: str
    """What the paths of calls begin with."""


def read_place(url: str) -> Place:
    """Return where the calls to an http:// or https:// URL go."""
    parts = urlsplit(url)
    host, usual = parts.hostname or "", _PORTS[parts.scheme.lower()]
    port = parts.port or usual
    shown = f"[{host}]" if ":" in host else host
    root = quote(parts.path.rstrip("/"), safe=_OF_URLS)
    return Place((host, port), shown if port == usual else f"{shown}:{port}", root)


class PlainHttp:
    """Carries calls to one URL, from any thread."""

    def __init__(self, url: str, bounds: Bounds) -> None:
        self._bounds, self._place = bounds, read_place(url)
        # Appending to a list and popping from it are one step each to other threads.
        self._idle: list[Line] = []
        weakref.finalize(self, _close_all, self._idle)

    def exchange(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a POST of a body, or to a GET; raises TransportError."""
        until = time.monotonic() + self._bounds.seconds
        head = write_head(self._place, path, body, headers)
        line = self._begin(head, body or b"", until)
        answer = line.read(until)
        if line.is_kept and len(self._idle) < KEPT:
            self._idle.append(line)
        else:
            line.close()
        return answer

    def _begin(self, head: bytes, body: bytes, until: float) -> "Line":
        """Send a request on a kept connection or a new one, and return the connection."""
        while self._idle:
            try:
                line = self._idle.pop()
            except IndexError:
                break
            # The server may have closed it meanwhile. Where it takes nothing of a request, that can go elsewhere.
            if line.is_fresh and line.send(head, body, until):
                return line
            line.close()
        line = Line(connect(self._place.address, self._bounds.seconds), self._bounds)
        if not line.send(head, body, until):
            line.close()
            raise TransportError(transport.CUT)
        return line


def connect(address: tuple[str, int], seconds: float) -> socket.socket:
    """Return a connection to a server, made in no more seconds than these or CONNECT_S; raises TransportError."""
    try:
        found = socket.create_connection(address, min(CONNECT_S, seconds))
    except TimeoutError:
        raise TransportError(transport.UNREACHED) from None
    except (socket.gaierror, UnicodeError):
        raise TransportError(transport.UNNAMED) from None
    except OSError:
        raise TransportError(transport.REFUSED) from None
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def write_head(place: Place, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    """Return the head of a POST of a body, or of a GET."""
    path, host = place.root + path, place.shown
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    if body is None:
        start = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
    else:
        start = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
    return f"{start}{''.join(lines)}\r\n".encode("ascii")


class Line:
    """A connection, on which one call goes at a time, and the answer that is being read from it."""

    def __init__(self, link: socket.socket, bounds: Bounds) -> None:
        self._link, self._bounds = link, bounds
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._size = self._framing = 0
        self._is_whole = self._has_head = self._says_more = False
        self.is_kept = False
        """Whether another call may go on this connection."""

    @property
    def is_fresh(self) -> bool:
        """Whether the server has neither closed the connection nor said anything unasked."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def send(self, head: bytes, body: bytes, until: float) -> bool:
        """Send a request; says whether any of it was taken. Raises TransportError, and then closes the connection."""
        parts = (head + body,) if len(body) < _SMALL else (head, body)
        is_taken = False
        try:
            for part in parts:
                left = memoryview(part)
                while left:
                    self._link.settimeout(max(until - time.monotonic(), _LEAST_S))
                    sent = self._link.send(left)
                    is_taken, left = True, left[sent:]
        except TimeoutError:
            self.close()
            raise TransportError(transport.LATE) from None
        except OSError:
            # A server that has read enough of a body answers, and closes: its answer is still to be read.
            return is_taken
        return True

    def read(self, until: float) -> Answer:
        """Return the answer to what was sent; raises TransportError, and then closes the connection."""
        try:
            return self._read(until)
        except BaseException:
            # What is left of the answer would be taken for the next one.
            self.close()
            raise

    def _read(self, until: float) -> Answer:
        self._headers, self._pieces, self._size = {}, [], 0
        self._is_whole = self._has_head = self._says_more = self.is_kept = False
        framing = 0
        while not self._is_whole:
            before, piece = self._size, self._receive(until)
            if not piece:
                self._end()
                break
            self._feed(piece)
            # Heads, the ends of chunks, and what may follow the last one: llhttp keeps their parts as they come.
            framing = framing + len(piece) if self._size == before else 0
            if self._size > self._bounds.body:
                raise transport.too_long(self._bounds.body)
            if framing > self._bounds.head and not self._is_whole:
                raise TransportError(f"answered with a head of more than {self._bounds.head} bytes")
        body = b"".join(self._pieces) if len(self._pieces) != 1 else self._pieces[0]
        self._pieces = []
        coding = self._headers.get("content-encoding", "").lower()
        if coding not in ("", "identity"):
            body = _unpack(body, coding, self._bounds.body)
        return Answer(self._status, self._headers, body)

    # --- An answer that is read in pieces; the connection is for this one call ---------------------------

    def read_head(self, until: float) -> Answer:
        """Return the status and headers of an answer whose pieces `read_pieces` gives; raises TransportError."""
        while not self._has_head:
            self._receive_more(until)
        return Answer(self._status, self._headers, b"")

    def read_pieces(self, silent_s: float, ends: float) -> Iterator[bytes]:
        """Yield the body's pieces, none later than so many seconds after the last; raises TransportError."""
        while True:
            pieces, self._pieces = self._pieces, []
            yield from pieces
            if self._is_whole:
                return
            if not self._receive_more(min(time.monotonic() + silent_s, ends)):
                return

    def _receive_more(self, until: float) -> bool:
        """Take what comes next; says whether there may be more."""
        before, piece = self._size, self._receive(until)
        if not piece:
            self._end()
            return False
        self._feed(piece)
        self._framing = self._framing + len(piece) if self._size == before else 0
        if self._size > self._bounds.body:
            raise transport.too_long(self._bounds.body)
        if self._framing > self._bounds.head and not self._is_whole:
            raise TransportError(f"answered with a head of more than {self._bounds.head} bytes")
        return True

    def stop(self) -> None:
        """End the connection under whoever reads from it, in another thread."""
        with contextlib.suppress(OSError):
            # The method of TLS would take the connection's state away from the thread that reads.
            socket.socket.shutdown(self._link, socket.SHUT_RDWR)

    # --- What reads ------------------------------------------------------------------------------------

    def _receive(self, until: float) -> bytes:
        late = transport.UNFINISHED if self._has_head else transport.LATE
        try:
            self._link.settimeout(max(until - time.monotonic(), _LEAST_S))
            return self._link.recv(_PIECE)
        except TimeoutError:
            raise TransportError(late) from None
        except OSError:
            raise TransportError(transport.CUT) from None

    def _feed(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # What follows a whole answer belongs to none.
            self._says_more = True
            if not self._is_whole:
                raise TransportError(transport.NO_HTTP) from None
        self.is_kept = self.is_kept and not self._says_more

    def _end(self) -> None:
        """Take the end of the connection for that of an answer which has no other."""
        is_chunked = self._headers.get("transfer-encoding", "").lower().endswith("chunked")
        if not self._has_head or is_chunked or "content-length" in self._headers:
            raise TransportError(transport.CUT)

    # What follows is called by the parser. An answer of 1xx stands before the one that counts.

    def on_message_begin(self) -> None:
        """Note that an answer begins."""
        self._says_more = self._is_whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those that follow the last chunk are none."""
        if self._has_head or self._is_whole:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").rstrip(" \t")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Keep the status."""
        if self._is_whole:
            return
        if self._parser.get_http_version() not in _VERSIONS:
            raise TransportError(transport.NO_HTTP)
        self._status = self._parser.get_status_code()
        self._has_head = self._status >= 200
        if not self._has_head:
            self._headers = {}

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if not self._is_whole:
            self._pieces.append(body)
            self._size += len(body)

    def on_message_complete(self) -> None:
        """Note that the answer is whole."""
        if self._has_head and not self._is_whole:
            self._is_whole = True
            self.is_kept = self._parser.should_keep_alive()


def _close_all(lines: list[Line]) -> None:
    for line in lines:
        line.close()


def _unpack(body: bytes, coding: str, most: int) -> bytes:
    """Return a body that was compressed although nobody asked for it; raises TransportError."""
    if coding not in _WINDOW_BITS:
        raise TransportError(transport.CODED)
    unpacker = zlib.decompressobj(_WINDOW_BITS[coding])
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error:
        raise TransportError(f"answered with something that is not {coding}") from None
    if len(found) > most:
        raise transport.too_long(most)
    if not unpacker.eof:
        raise TransportError(transport.CUT)
    return found
