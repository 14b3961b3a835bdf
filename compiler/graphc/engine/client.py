"""Calls to units: kept connections, the executor's paths, and its words where a call fails."""

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urljoin, urlsplit

import aiohttp

from graphc.engine.headers import Headers, read_headers
from graphc.engine.kept_connections import ClosedError, KeptConnections, LookupFailedError
from graphc.engine.limits import Limits
from graphc.engine.message import Answer, Message, gunzip
from graphc.engine.metrics import Metrics
from graphc.engine.offload import offload
from graphc.engine.patience import Patience
from graphc.engine.streams import UnitStream, UnitStreams
from graphc.engine.wire_json import WireError
from graphc.http1 import Response, write_request
from graphc.http1 import WireError as HttpError
from graphc.seldon.unit import Endpoint, SeldonUnit

VERBS: Final[Mapping[str, str]] = {
    "infer": "/infer",
    "route": "/route",
    "aggregate": "/aggregate",
    "infer_stream": "/infer_stream",
    "aggregate_stream": "/aggregate_stream",
    "ready": "/ready",
    "metadata": "",
}
"""What a unit can be asked under a model's name, and how its path ends; `health` needs no name."""


_MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPING: Final = frozenset({307, 308})
"""Redirects after which the same is asked again; after the others, it is only looked at."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})

_REASONS: Final = {
    errno.ECONNREFUSED: "connect: connection refused",
    errno.EHOSTUNREACH: "connect: no route to host",
    errno.ENETUNREACH: "connect: network is unreachable",
    errno.ECONNRESET: "read: connection reset by peer",
    errno.EMFILE: "socket: too many open files",
    errno.ENFILE: "socket: too many open files",
}


@dataclass(frozen=True, slots=True)
class Target:
    """One unit under the name it is called by, and what it is asked."""

    unit: SeldonUnit
    model: str
    verb: str

    @property
    def url(self) -> str:
        """Write the URL that the executor names in its errors."""
        authority = self.unit.endpoint.authority if self.unit.endpoint else ""
        return f"http://{authority}{self.path}"

    @property
    def path(self) -> str:
        """Write the path; the name is a client's and may hold anything."""
        if self.verb == "health":
            return "/v2/health/ready"
        return f"/v2/models/{quote(self.model, safe='')}{VERBS[self.verb]}"


class CallError(Exception):
    """A unit gave no answer; the message is the one that the executor would give."""


class CallLateError(CallError):
    """A unit gave no answer in time."""


class UnitClient:
    """Kept connections to the units."""

    def __init__(
        self, metrics: Metrics, timeout_s: float | None = None, limits: Limits | None = None
    ) -> None:
        limits = limits or Limits()
        self._metrics = metrics
        self._patience = Patience(timeout_s or limits.unit_timeout_s)
        self._max_answer = limits.max_answer
        self._kept = KeptConnections(limits.max_answer)
        self._streams = UnitStreams(self._patience.seconds, limits.max_answer)

    async def __aenter__(self) -> Self:
        """Open the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        self._kept.close()
        await self._streams.close()

    async def call(self, target: Target, message: Message | None, headers: Headers) -> Answer:
        """Ask a unit; raises CallError where it gives no answer."""
        started, code = perf_counter(), "none"
        try:
            answer = await self._exchange(target, message, headers)
            code = str(answer.status)
        finally:
            self._metrics.count_unit(target.unit.name, target.verb, code, perf_counter() - started)
        return answer

    async def pass_on(self, unit: SeldonUnit, message: Message, headers: Headers) -> Answer:
        """Ask a unit in the client's own way and return its answer with its headers; raises CallError."""
        started, code, asked, endpoint = perf_counter(), "none", message.asked, unit.endpoint
        assert asked is not None
        if endpoint is None:
            raise CallError(f"unit {unit.name} has no endpoint")
        sent = [("Host", endpoint.authority), *headers, *asked.headers]
        if message.body or asked.method in _WITH_BODY:
            sent.append(("Content-Length", str(len(message.body))))
        try:
            with self._patience.limit():
                response = await self._kept.ask(
                    endpoint,
                    write_request(asked.method, asked.path, sent),
                    message.body,
                    is_safe=asked.method in _SAFE,
                )
            code = str(response.status)
        except TimeoutError:
            raise CallLateError(
                f"unit `{unit.name}` has not answered in {self._patience.seconds:g} seconds"
            ) from None
        except (OSError, HttpError) as error:
            raise CallError(f"unit `{unit.name}` does not answer: {_reason(error, endpoint)}") from error
        finally:
            self._metrics.count_unit(unit.name, "infer", code, perf_counter() - started)
        return Answer(response.status, Message(response.body), read_headers(response.head))

    async def stream(self, target: Target, message: Message, headers: Headers) -> UnitStream:
        """Ask a unit for an answer in parts; raises CallError where it begins none."""
        return await self._stream(target, target.path, (*headers, *_content_headers(message)), message.body)

    async def pass_stream(self, unit: SeldonUnit, message: Message, headers: Headers) -> UnitStream:
        """Ask a unit for an answer in parts in the client's own way; raises CallError where it begins none."""
        asked = message.asked
        assert asked is not None
        target = Target(unit, unit.name, "infer_stream")
        return await self._stream(target, asked.path, (*headers, *asked.headers), message.body)

    async def _stream(self, target: Target, path: str, headers: Headers, body: bytes) -> UnitStream:
        started, unit, endpoint = perf_counter(), target.unit.name, target.unit.endpoint
        if endpoint is None:
            raise CallError(f"unit {unit} has no endpoint")
        kept = [pair for pair in headers if pair[0].lower() != "content-length"]

        def count(code: str) -> None:
            self._metrics.count_unit(unit, target.verb, code, perf_counter() - started)

        code = "none"
        try:
            found = await self._streams.open(unit, endpoint, path, kept, body)
            code = ""
        except TimeoutError:
            seconds = self._patience.seconds
            raise CallLateError(f"unit `{unit}` has not answered in {seconds:g} seconds") from None
        except (OSError, aiohttp.ClientError, ValueError) as error:
            reason = _reason(error, endpoint) if isinstance(error, OSError) else "EOF"
            raise CallError(f"unit `{unit}` does not answer: {reason}") from error
        finally:
            if code:
                count(code)
        found.on_close = lambda: count(str(found.status))
        return found

    async def _exchange(self, target: Target, message: Message | None, headers: Headers) -> Answer:
        endpoint = target.unit.endpoint
        if endpoint is None:
            raise CallError(f"unit {target.unit.name} has no endpoint")
        method = "GET" if message is None else "POST"
        try:
            with self._patience.limit():
                return await self._send(endpoint, method, target.path, message, headers)
        except TimeoutError as error:
            late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise CallError(f'{method.title()} "{target.url}": {late}') from error
        except (OSError, HttpError) as error:
            raise CallError(f'{method.title()} "{target.url}": {_reason(error, endpoint)}') from error
        except WireError as error:
            raise CallError(str(error)) from error

    async def _send(
        self, endpoint: Endpoint, method: str, path: str, message: Message | None, headers: Headers
    ) -> Answer:
        # The executor asks for gzip by itself, and unpacks it, unless the client said what it accepts.
        asks_gzip = not any(name.lower() == "accept-encoding" for name, _ in headers)
        body = message.body if message else b""
        sent = [*headers, *_content_headers(message)]
        if asks_gzip:
            sent.append(("Accept-Encoding", "gzip"))
        response = await self._ask(endpoint, method, path, sent, body)
        encoding, body = response.header("content-encoding") or "", response.body
        if asks_gzip and encoding == "gzip":
            packed = body
            body = await offload(len(packed) * 16, lambda: gunzip(packed, self._max_answer))
            encoding = ""
        return Answer(response.status, Message(body, response.header("content-type") or "", encoding))

    async def _ask(
        self, endpoint: Endpoint, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> Response:
        for _ in range(_MAX_REDIRECTS):
            head = write_request(method, path, [("Host", endpoint.authority), *headers])
            response = await self._kept.ask(endpoint, head, body, is_safe=method == "GET")
            place = response.header("location") if response.status in _REDIRECTS else None
            if place is None:
                return response
            endpoint, path = _follow(endpoint, path, place)
            if response.status not in _KEEPING and method != "GET":
                method, body = "GET", b""
                headers = [pair for pair in headers if not pair[0].lower().startswith("content-")]
        raise HttpError(f"stopped after {_MAX_REDIRECTS} redirects")


def _follow(endpoint: Endpoint, path: str, place: str) -> tuple[Endpoint, str]:
    try:
        parts = urlsplit(urljoin(f"http://{endpoint.authority}{path}", place))
        port = parts.port or 80
    except ValueError as error:
        raise HttpError(f"failed to parse Location header {json.dumps(place)}") from error
    if parts.scheme != "http" or not parts.hostname:
        raise HttpError(f'unsupported protocol scheme "{parts.scheme}"')
    return Endpoint(parts.hostname, port), (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _content_headers(message: Message | None) -> list[tuple[str, str]]:
    if message is None:
        return []
    given = (
        ("Content-Type", message.content_type),
        ("Content-Encoding", message.content_encoding),
        ("Content-Length", str(len(message.body))),
    )
    return [(name, value) for name, value in given if value]


def _reason(error: OSError | HttpError, endpoint: Endpoint) -> str:
    if isinstance(error, ClosedError):
        return "EOF"
    if isinstance(error, LookupFailedError):
        return f"dial tcp: lookup {endpoint.host}: no such host"
    if isinstance(error, OSError) and error.errno in _REASONS:
        return f"dial tcp {endpoint.authority}: {_REASONS[error.errno]}"
    return str(error) or type(error).__name__
