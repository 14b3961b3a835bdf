"""Calls over gRPC as the executor takes and makes them: what came with one, what ends it, and channels to units."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Final, cast

import grpc
from grpc import aio

from graphc.engine.headers import PUID, Headers, forward
from graphc.engine.metrics import Metrics
from graphc.engine.proto import SERVICE
from graphc.seldon.unit import Endpoint, SeldonUnit

Pair = tuple[str, str | bytes]
Metadata = tuple[Pair, ...]

LARGEST_METADATA: Final = 1 << 20
"""How many bytes a call's metadata may have: the executor sets no limit, and an error's text travels there."""

_TRACE: Final = "uber-trace-id"
_TRACED: Final = re.compile(r"([0-9a-fA-F]{1,32}):([0-9a-fA-F]{1,16}):[0-9a-fA-F]{1,16}:([0-9a-fA-F]{1,2})\Z")
_OF_THE_HOP: Final = frozenset({"content-type", "host", "te", "user-agent"})
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", LARGEST_METADATA),
    ("grpc.absolute_max_metadata_size", LARGEST_METADATA),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # A unit that comes back is called again at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_UNREACHED: Final = "failed to connect to all addresses"
_REASONS: Final = {
    "Connection refused": "connect: connection refused",
    "Network is unreachable": "connect: network is unreachable",
    "No route to host": "connect: no route to host",
}


class EndedCallError(Exception):
    """A call ends with another status than OK; a bare one carries no headers back, as the executor never saw it."""

    def __init__(self, code: grpc.StatusCode, details: str, *, bare: bool = False) -> None:
        super().__init__(details)
        self.code, self.details, self.bare = code, details, bare


class DeathError(EndedCallError):
    """The executor's process would end of this call."""

    def __init__(self, says: str, hint: str = "") -> None:
        text = f"Seldon's executor would end here ({says}); {hint}" if hint else says
        super().__init__(grpc.StatusCode.UNAVAILABLE, text, bare=True)
        self.says = says


@dataclass(frozen=True, slots=True)
class Incoming:
    """What came with a call beside its message: its id, what goes on to the units, and the time that is left."""

    puid: str
    metadata: Metadata
    seconds: float | None = None

    @property
    def headers(self) -> Headers:
        """Return what is text of the metadata, as the headers of an HTTP request."""
        return tuple((key, value) for key, value in self.metadata if isinstance(value, str))


def read_incoming(pairs: Iterable[Pair], seconds: float | None) -> Incoming:
    """Read a call's metadata; raises EndedCallError where the executor's server refuses it."""
    given = tuple((key, value) for key, value in pairs if not key.startswith((":", "grpc-")))
    if any(key == "connection" for key, _ in given):
        # Go's server resets the stream, and these are a client's words for that.
        reset = "Stream removed (RST_STREAM (Received RST_STREAM with error code 1))"
        raise EndedCallError(grpc.StatusCode.INTERNAL, reset, bare=True)
    kept = tuple(pair for pair in given if pair[0] not in _OF_THE_HOP)
    puid, _ = forward((key, value) for key, value in kept if isinstance(value, str))
    added = () if any(key == PUID.lower() and value for key, value in kept) else ((PUID.lower(), puid),)
    kept = tuple(pair for pair in kept if pair[0] != PUID.lower() or pair[1])
    return Incoming(puid, _with_trace((*kept, *added)), seconds)


def _with_trace(metadata: Metadata) -> Metadata:
    """Return the metadata with a span of the engine's own, of the client's trace where it has one."""
    given = next((value for key, value in metadata if key == _TRACE), "")
    found = _TRACED.match(given) if isinstance(given, str) else None
    span = secrets.token_hex(8)
    trace = f"{found[1]}:{span}:{found[2]}:{found[3]}" if found else f"{span}:{span}:0:0"
    return (*(pair for pair in metadata if pair[0] != _TRACE), (_TRACE, trace))


class CallClient:
    """Channels to units, one for each place."""

    def __init__(self, metrics: Metrics, timeout_s: float | None = None) -> None:
        self._metrics, self._timeout_s = metrics, timeout_s
        self._channels: dict[str, aio.Channel] = {}

    async def close(self) -> None:
        """Close every channel."""
        channels, self._channels = [*self._channels.values()], {}
        await asyncio.gather(*(channel.close() for channel in channels))

    async def call(self, unit: SeldonUnit, method: str, message: bytes, incoming: Incoming) -> bytes:
        """Ask a unit; raises EndedCallError with the unit's own code and details."""
        started, code = perf_counter(), "none"
        try:
            answer = await self._ask(unit, method, message, incoming)
            code = "OK"
        except aio.AioRpcError as error:
            code = error.code().name
            raise _ended(error, unit.endpoint) from None
        finally:
            self._metrics.count_unit(unit.name, method, code, perf_counter() - started)
        return answer

    async def _ask(self, unit: SeldonUnit, method: str, message: bytes, incoming: Incoming) -> bytes:
        if unit.endpoint is None or unit.endpoint.grpc is None:
            raise EndedCallError(grpc.StatusCode.UNAVAILABLE, f"unit {unit.name} has no endpoint for gRPC")
        channel = self._channel(unit.endpoint)
        asks = cast("Callable[..., Awaitable[bytes]]", channel.unary_unary(f"/{SERVICE}/{method}"))
        times = [each for each in (incoming.seconds, self._timeout_s) if each is not None]
        return await asks(message, metadata=incoming.metadata, timeout=min(times, default=None))

    def _channel(self, endpoint: Endpoint) -> aio.Channel:
        place = endpoint.call_authority
        if place not in self._channels:
            self._channels[place] = aio.insecure_channel(place, options=_OPTIONS)
        return self._channels[place]


def _ended(error: aio.AioRpcError, endpoint: Endpoint | None) -> EndedCallError:
    details = error.details() or ""
    if error.code() is grpc.StatusCode.UNAVAILABLE and details.startswith(_UNREACHED) and endpoint:
        reason = next((text for known, text in _REASONS.items() if known in details), "i/o timeout")
        place = endpoint.call_authority
        details = f'connection error: desc = "transport: Error while dialing: dial tcp {place}: {reason}"'
    return EndedCallError(error.code(), details)
