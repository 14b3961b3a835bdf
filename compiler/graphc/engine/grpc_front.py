"""The ports' side of the V2 protocol over gRPC: every method of it, as bytes, to whoever answers."""

from collections.abc import AsyncIterator
from typing import Final, NoReturn, Protocol

import grpc
from grpc import aio

from graphc.engine.calls import LARGEST_METADATA, EndedCallError, Incoming, read_incoming
from graphc.engine.headers import PUID
from graphc.engine.proto import METHODS, SERVICE, STREAMING

Context = aio.ServicerContext[bytes, bytes]

_UNLIMITED: Final = -1
_UNCOMPRESSED: Final = 1


class Answering(Protocol):
    """What answers the calls of a service."""

    @property
    def unpacks(self) -> bool:
        """Whether clients may compress their messages."""
        ...

    async def answer(self, method: str, message: bytes, incoming: Incoming) -> bytes:
        """Answer a call; raises EndedCallError."""
        ...


def build_server(answering: Answering) -> aio.Server:
    """Return the server that has calls answered, not yet bound to a port."""
    server = aio.server(
        options=[
            ("grpc.max_receive_message_length", _UNLIMITED),
            ("grpc.max_send_message_length", _UNLIMITED),
            ("grpc.max_metadata_size", LARGEST_METADATA),
            ("grpc.absolute_max_metadata_size", LARGEST_METADATA),
            # Refused with the executor's code, by gRPC itself and so in gRPC's words: nothing else sees the header.
            *(() if answering.unpacks else (("grpc.compression_enabled_algorithms_bitset", _UNCOMPRESSED),)),
            # Two engines on one port would each get half of the calls.
            ("grpc.so_reuseport", 0),
        ]
    )
    server.add_generic_rpc_handlers((_Handler(answering),))
    return server


class _Handler(grpc.GenericRpcHandler):
    """Finds what handles a call: there is nothing that it leaves to gRPC's own words."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

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
            return await _answer(self._answering, name, message, context)

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
    await context.send_initial_metadata(((PUID.lower(), puid),))
    return answer


async def _abort(context: Context, end: EndedCallError) -> NoReturn:
    await context.abort(end.code, end.details.encode("utf-8", "replace").decode())
    raise AssertionError("an abort does not return")
