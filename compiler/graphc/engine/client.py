"""Calls to units: one pool of connections, the executor's paths, and its words where a call fails."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from graphc.engine.headers import Headers
from graphc.engine.message import Answer, Message, gunzip
from graphc.engine.metrics import Metrics
from graphc.engine.tree import Unit
from graphc.engine.wire_json import WireError

VERBS: Final[Mapping[str, str]] = {
    "infer": "/infer",
    "route": "/route",
    "aggregate": "/aggregate",
    "ready": "/ready",
    "metadata": "",
}
"""What a unit can be asked under a model's name, and how its path ends; `health` needs no name."""


# MLServer closes a connection after five idle seconds; one that is kept longer fails when it is used next.
_KEEPALIVE_S: Final = 4.0
_REASONS: Final = {
    errno.ECONNREFUSED: "connect: connection refused",
    errno.EHOSTUNREACH: "connect: no route to host",
    errno.ENETUNREACH: "connect: network is unreachable",
    errno.ECONNRESET: "read: connection reset by peer",
}


@dataclass(frozen=True, slots=True)
class Target:
    """One unit under the name it is called by, and what it is asked."""

    unit: Unit
    model: str
    verb: str

    @property
    def url(self) -> str:
        """Write the URL; the name is a client's and may hold anything."""
        authority = self.unit.endpoint.authority if self.unit.endpoint else ""
        if self.verb == "health":
            return f"http://{authority}/v2/health/ready"
        return f"http://{authority}/v2/models/{quote(self.model, safe='')}{VERBS[self.verb]}"


class CallError(Exception):
    """A unit gave no answer; the message is the one that the executor would give."""


class UnitClient:
    """A pool of connections to the units."""

    def __init__(self, metrics: Metrics, timeout_s: float | None = None) -> None:
        self._metrics = metrics
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    async def __aenter__(self) -> Self:
        """Open the pool."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def call(self, target: Target, message: Message | None, headers: Headers) -> Answer:
        """Ask a unit; raises CallError where it gives no answer."""
        started, code = perf_counter(), "none"
        try:
            answer = await self._exchange(target, message, headers)
            code = str(answer.status)
        finally:
            self._metrics.count_unit(target.unit.name, target.verb, code, perf_counter() - started)
        return answer

    async def _exchange(self, target: Target, message: Message | None, headers: Headers) -> Answer:
        if target.unit.endpoint is None:
            raise CallError(f"unit {target.unit.name} has no endpoint")
        method = "GET" if message is None else "POST"
        try:
            return await self._send(method, target.url, message, headers)
        except aiohttp.ClientError as error:
            raise CallError(f'{method.title()} "{target.url}": {_reason(error, target)}') from error
        except TimeoutError as error:
            raise CallError(f'{method.title()} "{target.url}": context deadline exceeded') from error
        except WireError as error:
            raise CallError(str(error)) from error

    async def _send(self, method: str, url: str, message: Message | None, headers: Headers) -> Answer:
        # The executor asks for gzip by itself, and unpacks it, unless the client said what it accepts.
        asks_gzip = not any(name.lower() == "accept-encoding" for name, _ in headers)
        sent = [*headers, *_content_headers(message)]
        if asks_gzip:
            sent.append(("Accept-Encoding", "gzip"))
        data = message.body if message else None
        async with self._session.request(method, URL(url, encoded=True), data=data, headers=sent) as response:
            body = await response.read()
            encoding = response.headers.get("Content-Encoding", "")
            if asks_gzip and encoding == "gzip":
                body, encoding = gunzip(body), ""
            return Answer(response.status, Message(body, response.headers.get("Content-Type", ""), encoding))


def _content_headers(message: Message | None) -> list[tuple[str, str]]:
    if message is None:
        return []
    given = (("Content-Type", message.content_type), ("Content-Encoding", message.content_encoding))
    return [(name, value) for name, value in given if value]


def _reason(error: aiohttp.ClientError, target: Target) -> str:
    authority = target.unit.endpoint.authority if target.unit.endpoint else ""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientOSError) and error.errno in _REASONS:
        return f"dial tcp {authority}: {_REASONS[error.errno]}"
    return str(error) or type(error).__name__
