"""Sends calls to one server: kept connections, bounded in time and bytes, with the server's own words in errors."""

import contextlib
import os
import ssl
from collections.abc import Callable, Generator, Iterator
from typing import Final

from graphc_components.servers import SERVERS, place_variable

from graphc_runtimes.errors import ServerFaultError
from graphc_runtimes.limits import read_limits
from graphc_runtimes.region import ServerNode
from graphc_runtimes.servers import transport
from graphc_runtimes.servers.dialect import Answer, Call
from graphc_runtimes.servers.plain_http import PlainHttp
from graphc_runtimes.servers.secure_http import SecureHttp
from graphc_runtimes.servers.streamed_http import Stop, StreamedHttp
from graphc_runtimes.servers.transport import Bounds, Transport, TransportError
from graphc_runtimes.servers.words import say_error

USUAL_S: Final = 60.0
"""How long a server may take where neither the node nor the graph says."""
EVENTS: Final = "text/event-stream"
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "graphc"}


def where_is(node: ServerNode) -> str:
    """Return the URL of a node's server: a run on one machine has it elsewhere than the cluster."""
    return os.environ.get(place_variable(node.at)) or node.url


class Connection:
    """Calls one server, from any thread."""

    def __init__(
        self, node: ServerNode, find_token: Callable[[], str | None], allowed_s: float = USUAL_S
    ) -> None:
        self._title = SERVERS[node.server].title
        self._find_token = find_token
        limits, url = read_limits(), where_is(node)
        bounds = Bounds(allowed_s, limits.max_body, limits.max_head)
        trust = _find_trust(node, url)
        self._transport: Transport = (
            PlainHttp(url, bounds) if trust is None else SecureHttp(url, bounds, trust)
        )

    def send(self, call: Call) -> Answer:
        """Return what the server answers with success; raises ServerFaultError."""
        answer = self._exchange(call)
        if answer.status // 100 != 2:
            raise _refused(self._title, answer.status, answer.body)
        return answer

    def _exchange(self, call: Call) -> Answer:
        try:
            return self._transport.exchange(call.path, call.body, make_headers(call, self._find_token()))
        except TransportError as error:
            raise _failed(self._title, error) from None


class StreamingConnection:
    """Calls one server for answers in parts, from any thread; each call has a connection of its own."""

    def __init__(
        self, node: ServerNode, find_token: Callable[[], str | None], allowed_s: float = USUAL_S
    ) -> None:
        limits, url = read_limits(), where_is(node)
        bounds = Bounds(allowed_s, limits.max_body, limits.max_head)
        self._title = SERVERS[node.server].title
        self._find_token = find_token
        self._http = StreamedHttp(url, bounds, _find_trust(node, url))
        self.longest_s: Final = float(limits.stream_s)
        """How many seconds a stream may take in all."""

    @contextlib.contextmanager
    def open(self, call: Call, stop: Stop, ends: float) -> Generator[Iterator[bytes]]:
        """Send a call, and give the pieces of the events that it is answered with; raises ServerFaultError.

        `ends` is when the last piece has to be there, by the monotonic clock.
        """
        headers = make_headers(call, self._find_token()) | {"Accept": EVENTS}
        try:
            with self._http.open(call.path, call.body or b"", headers, stop, ends) as (answer, pieces):
                if answer.status // 100 != 2:
                    raise _refused(self._title, answer.status, b"".join(pieces))
                yield self._check(answer, pieces)
        except TransportError as error:
            raise _failed(self._title, error) from None

    def _check(self, answer: Answer, pieces: Iterator[bytes]) -> Iterator[bytes]:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != EVENTS:
            raise TransportError("answered with no stream of events")
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise TransportError(transport.CODED)
        return pieces


def _find_trust(node: ServerNode, url: str) -> ssl.SSLContext | None:
    """Return what a server of https:// is trusted by; raises LoadError."""
    return transport.find_trust(node.trust) if url.lower().startswith("https:") else None


def make_headers(call: Call, token: str | None) -> dict[str, str]:
    """Return the headers that a call is sent with."""
    headers = {**_HEADERS, **call.headers}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _refused(title: str, status: int, body: bytes) -> ServerFaultError:
    said, told = say_error(body), f"({title}) answered {status}"
    return ServerFaultError(f"{told}: {said}" if said else told, told)


def _failed(title: str, error: TransportError) -> ServerFaultError:
    told = f"({title}) {error}"
    return ServerFaultError(told, told)
