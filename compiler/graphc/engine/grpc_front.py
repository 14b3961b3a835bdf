"""The ports' side of the V2 protocol over gRPC: every method of it, as bytes, to whoever answers."""

from collections.abc import AsyncIterator
from typing import Final, NoReturn, Protocol

import grpc
from grpc import aio

from graphc.engine.calls import LARGEST_METADATA, EndedCallError, Incoming, read_incoming
from graphc.engine.faults import note_fault
from graphc.engine.headers import PUID
from graphc.engine.limits import Limits, Room
from graphc.engine.proto import METHODS, SERVICE, STREAMING

Context = aio.ServicerContext[bytes, bytes]

_UNLIMITED: Final = -1
_UNCOMPRESSED: Final = 1
_LARGEST: Final = 2**31 - 1
_BUSY: Final = "too many bytes are in flight; try again later"


class Answering(Protocol):
    """What answers the calls of a service."""

    @property
    def unpacks(self) -> bool:
        """Whether clients may compress their messages."""
        ...

    async def answer(self, method: str, message: bytes, incoming: Incoming) -> bytes:
        """Answer a call; raises EndedCallError."""
        ...


def build_server(answering: Answering, limits: Limits, room: Room) -> aio.Server:
    """Return the server that has calls answered, not yet bound to a port."""
    server = aio.server(
        # More are RESOURCE_EXHAUSTED at once.
        maximum_concurrent_rpcs=limits.connections,
        options=[
            ("grpc.max_receive_message_length", min(limits.max_body, room.size, _LARGEST)),
            ("grpc.server_handshake_timeout_ms", int(limits.head_timeout_s * 1000)),
            ("grpc.max_connection_idle_ms", int(limits.idle_timeout_s * 1000)),
            # A client that is gone without a word is asked after, and its calls are given up.
            ("grpc.keepalive_time_ms", int(limits.idle_timeout_s * 1000)),
            ("grpc.keepalive_timeout_ms", int(limits.head_timeout_s * 1000)),
            ("grpc.max_send_message_length", _UNLIMITED),
            ("grpc.max_metadata_size", LARGEST_METADATA),
            ("grpc.absolute_max_metadata_size", LARGEST_METADATA),
            # Refused with the executor's code, by gRPC itself and so in gRPC's words: nothing else sees the header.
            *(() if answering.unpacks else (("grpc.compression_enabled_algorithms_bitset", _UNCOMPRESSED),)),
            # Two engines on one port would each get half of the calls.
            ("grpc.so_reuseport", 0),
        ],
    )
    server.add_generic_rpc_handlers((_Handler(answering, room),))
    return server


class _Handler(grpc.GenericRpcHandler):
    """Finds what handles a call: there is nothing that it leaves to gRPC's own words."""

    def __init__(self, answering: Answering, room: Room) -> None:
        self._answering, self._room = answering, room

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        _, service, name = f"/{handler_call_details.method.lstrip('/')}/".split("/", 3)[:3]
        if service != SERVICE:
            return _refuse(f"unknown service {service}")
        if name not in METHODS:
            return _refuse(f"unknown method {name} for service {service}")
        if name in STREAMING:
            return grpc.stream_stream_rpc_method_handler(self._stream(name))
        return grpc.unary_unary_rpc_method_handler(self._unary(name))

    def _unary(self, name: str):
        async def handle(message: bytes, context: Context) -> bytes:
            if not self._room.take(len(message)):
                await context.abort(grpc.StatusCode.UNAVAILABLE, _BUSY)
            try:
                return await _answer(self._answering, name, message, context)
            finally:
                self._room.give_back(len(message))

        return handle

    def _stream(self, name: str):
        async def handle(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            yield await _answer(self._answering, name, b"", context)

        return handle


def _refuse(text: str) -> "grpc.RpcMethodHandler[bytes, bytes]":
    async def handle(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)
        yield b""

    return grpc.stream_stream_rpc_method_handler(handle)


async def _answer(answering: Answering, name: str, message: bytes, context: Context) -> bytes:
    puid: str | None = None
    try:
        pairs = ((str(key), value) for key, value in context.invocation_metadata() or ())
        incoming = read_incoming(pairs, context.time_remaining())
        puid = incoming.puid
        answer = await answering.answer(name, message, incoming)
    except EndedCallError as end:
        if puid is not None and not end.bare:
            await context.send_initial_metadata(((PUID.lower(), puid),))
        await _abort(context, end)
    except Exception as fault:
        await _abort(context, EndedCallError(grpc.StatusCode.INTERNAL, note_fault("a call over gRPC", fault)))
    await context.send_initial_metadata(((PUID.lower(), puid),))
    return answer


async def _abort(context: Context, end: EndedCallError) -> NoReturn:
    await context.abort(end.code, end.details.encode("utf-8", "replace").decode())
    raise AssertionError("an abort does not return")
