"""Calls over https://, by urllib3."""

import ssl
import time
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlsplit

import urllib3

from graphc_runtimes.servers import transport
from graphc_runtimes.servers.dialect import Answer
from graphc_runtimes.servers.transport import CONNECT_S, KEPT, Bounds, TransportError

_PIECE: Final = 2**16


class SecureHttp:
    """Carries calls to one URL, from any thread."""

    def __init__(self, url: str, bounds: Bounds, trust: ssl.SSLContext) -> None:
        self._bounds = bounds
        self._root = urlsplit(url).path.rstrip("/")
        timeout = urllib3.Timeout(connect=min(CONNECT_S, bounds.seconds), read=bounds.seconds)
        self._pool = urllib3.connection_from_url(
            url, maxsize=KEPT, block=False, timeout=timeout, retries=False, ssl_context=trust
        )

    def exchange(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a POST of a body, or to a GET; raises TransportError."""
        until = time.monotonic() + self._bounds.seconds
        try:
            response = self._pool.urlopen(
                "GET" if body is None else "POST",
                self._root + path,
                body,
                headers,
                redirect=False,
                preload_content=False,
            )
            try:
                found = self._read(response, until)
            except BaseException:
                # What is left of the answer would be taken for the next one.
                response.close()
                raise
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise TransportError(_say_failure(error)) from None
        names = cast("Mapping[str, str]", response.headers)
        return Answer(response.status, {name.lower(): value for name, value in names.items()}, found)

    def _read(self, response: urllib3.BaseHTTPResponse, until: float) -> bytes:
        pieces: list[bytes] = []
        left = self._bounds.body
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise transport.too_long(self._bounds.body)
            if time.monotonic() > until:
                raise TransportError(transport.UNFINISHED)
        return b"".join(pieces)


def _say_failure(error: Exception) -> str:
    """Say what became of a call, without the address that it was for: clients read it."""
    match error:
        case urllib3.exceptions.NameResolutionError():
            return transport.UNNAMED
        case urllib3.exceptions.SSLError():
            return transport.UNTRUSTED
        # It is a kind of timeout to urllib3.
        case urllib3.exceptions.NewConnectionError():
            return transport.REFUSED
        case urllib3.exceptions.ConnectTimeoutError():
            return transport.UNREACHED
        case urllib3.exceptions.TimeoutError():
            return transport.LATE
        case urllib3.exceptions.ProtocolError():
            return transport.CUT
        case _:
            return transport.NO_HTTP
