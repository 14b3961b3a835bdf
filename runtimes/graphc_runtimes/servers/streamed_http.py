"""Calls whose answers are read in pieces as they come, over http:// and https://, and can be given up at any time."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import NamedTuple

from graphc_runtimes.servers import transport
from graphc_runtimes.servers.dialect import Answer
from graphc_runtimes.servers.plain_http import Line, connect, read_place, write_head
from graphc_runtimes.servers.transport import Bounds, TransportError


class Stop:
    """Gives up a call, from any thread: before it has begun, or while another thread waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end: Callable[[], None] | None = None
        self.is_set = False

    def set(self) -> None:
        """Give the call up."""
        with self._lock:
            self.is_set, end = True, self._end
        if end is not None:
            end()

    def bind(self, end: Callable[[], None] | None) -> None:
        """Have a function called that ends what is under way; at once where the call was given up before."""
        with self._lock:
            self._end = end
            is_late = self.is_set and end is not None
        if is_late and end is not None:
            end()


class Streamed(NamedTuple):
    """An answer without its body, and the body's pieces as they come; raises TransportError with each."""

    answer: Answer
    pieces: Iterator[bytes]


class StreamedHttp:
    """Makes calls to one URL, each on a connection of its own."""

    def __init__(self, url: str, bounds: Bounds, trust: ssl.SSLContext | None) -> None:
        self._bounds, self._place, self._trust = bounds, read_place(url), trust

    @contextlib.contextmanager
    def open(
        self, path: str, body: bytes, headers: Mapping[str, str], stop: Stop, ends: float
    ) -> Generator[Streamed]:
        """Send a POST, and give the answer once its head is there; raises TransportError.

        The head, and each piece after it, may take as long as the bounds say, and all of it until `ends`.
        """
        line = Line(self._connect(), self._bounds)
        try:
            stop.bind(line.stop)
            until = min(time.monotonic() + self._bounds.seconds, ends)
            if not line.send(write_head(self._place, path, body, headers), body, until):
                raise TransportError(transport.CUT)
            yield Streamed(line.read_head(until), line.read_pieces(self._bounds.seconds, ends))
        finally:
            stop.bind(None)
            line.close()

    def _connect(self) -> socket.socket:
        link = connect(self._place.address, self._bounds.seconds)
        if self._trust is None:
            return link
        try:
            return self._trust.wrap_socket(link, server_hostname=self._place.address[0])
        except BaseException as error:
            link.close()
            match error:
                case TimeoutError():
                    raise TransportError(transport.UNREACHED) from None
                case ssl.SSLCertVerificationError():
                    raise TransportError(transport.UNTRUSTED) from None
                case OSError():
                    raise TransportError(transport.REFUSED) from None
                case _:
                    raise
