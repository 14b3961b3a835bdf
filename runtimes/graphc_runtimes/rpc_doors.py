"""All that a unit answers over gRPC besides inference: health, metadata and the index of models.

What a unit of a fixed graph has no use for is refused: nothing is loaded or unloaded, and nothing comes in streams.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, cast

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from graphc_runtimes.doors import Catalog
from graphc_runtimes.faults import tell_fault
from graphc_runtimes.limits import Limits
from graphc_runtimes.rpc import SERVICE, Call, check_version
from graphc_runtimes.rpc_messages import Messages, write_parameter
from graphc_runtimes.shown import show

OLD_SERVICE: Final = "inference.model_repository.ModelRepositoryService"
"""Where MLServer has the methods of its repository once more, with the same messages."""
_MOST_STREAMS: Final = 1024
"""Calls of one connection; what more it has, its client keeps until one is done."""
_UNLIMITED: Final = -1
_LARGEST: Final = 2**31 - 1
_FIXED: Final = "the models of this unit are fixed: none is loaded or unloaded"

_Answer = Callable[[Any, Call], Awaitable[Mapping[str, object]]]


class RpcDoors:
    """Answers every method of the protocol but ModelInfer."""

    def __init__(self, catalog: Catalog, messages: Messages) -> None:
        self._catalog, self._messages = catalog, messages

    def install(self, server: aio.Server) -> None:
        """Take the calls of a server that has not started."""
        answers: dict[str, _Answer] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ServerMetadata": self._describe,
            "ModelReady": self._is_model_ready,
            "ModelMetadata": self._describe_model,
            "RepositoryIndex": self._index,
        }
        handlers = {name: _unary(self._open(name, answer)) for name, answer in answers.items()}
        fixed = dict.fromkeys(("RepositoryModelLoad", "RepositoryModelUnload"), _unary(_refuse_loading))
        stream = cast("Any", grpc.stream_stream_rpc_method_handler)(_refuse_stream)
        add = cast("Any", server).add_registered_method_handlers
        add(SERVICE, {**handlers, **fixed, "ModelStreamInfer": stream})
        add(OLD_SERVICE, {"RepositoryIndex": handlers["RepositoryIndex"], **fixed})

    def _open(self, name: str, answer: _Answer) -> Callable[[bytes, Call], Awaitable[bytes]]:
        """Return what answers a method from a message's bytes."""
        asked, told = (self._messages.kind(f"{name}{end}") for end in ("Request", "Response"))

        async def handle(raw: bytes, call: Call) -> bytes:
            try:
                request = asked.FromString(raw)
            except DecodeError:
                await call.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the message is no {name}Request")
            try:
                fields = dict(await answer(request, call))
                parameters = cast("Mapping[str, object]", fields.pop("parameters", {}))
                response = told(**fields)
                for key, value in parameters.items():
                    write_parameter(response.parameters, key, value)
                return response.SerializeToString()
            except (aio.AbortError, asyncio.CancelledError):
                raise
            # The outermost door: every error is answered in our own words.
            except BaseException as error:
                await call.abort(grpc.StatusCode.INTERNAL, str(tell_fault(error, "the unit")))

        return handle

    async def _live(self, request: Any, call: Call) -> Mapping[str, object]:  # noqa: ARG002
        return {"live": True}

    async def _ready(self, request: Any, call: Call) -> Mapping[str, object]:  # noqa: ARG002
        return {"ready": await self._catalog.is_ready()}

    async def _describe(self, request: Any, call: Call) -> Mapping[str, object]:  # noqa: ARG002
        return cast("Mapping[str, object]", await self._catalog.describe())

    async def _is_model_ready(self, request: Any, call: Call) -> Mapping[str, object]:
        await self._check_model(request, call)
        return {"ready": await self._catalog.is_model_ready(request.name)}

    async def _describe_model(self, request: Any, call: Call) -> Mapping[str, object]:
        await self._check_model(request, call)
        if not await self._catalog.is_model_ready(request.name):
            await call.abort(grpc.StatusCode.UNAVAILABLE, f"model {show(request.name)} is not ready")
        return cast("Mapping[str, object]", await self._catalog.describe_model(request.name))

    async def _index(self, request: Any, call: Call) -> Mapping[str, object]:  # noqa: ARG002
        return {"models": await self._catalog.index(is_ready=request.ready)}

    async def _check_model(self, request: Any, call: Call) -> None:
        if request.name not in self._catalog.names:
            await call.abort(grpc.StatusCode.NOT_FOUND, f"model {show(request.name)} not found")
        await check_version(request.name, request.version, self._catalog.versions, call)


def _unary(handle: Callable[[bytes, Call], Awaitable[bytes]]) -> Any:
    # Without a reader and a writer of its own gRPC hands over bytes, and takes them.
    return cast("Any", grpc.unary_unary_rpc_method_handler)(handle)


async def _refuse_loading(raw: bytes, call: Call) -> bytes:  # noqa: ARG001
    await call.abort(grpc.StatusCode.UNIMPLEMENTED, _FIXED)


async def _refuse_stream(requests: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:  # noqa: ARG001
    await call.abort(grpc.StatusCode.UNIMPLEMENTED, "the models of this unit do not answer in streams")
    yield b""


def make_options(limits: Limits) -> dict[str, int]:
    """Return the options of a gRPC server for what it takes at most."""
    idle_ms, patience_ms = limits.idle_s * 1000, limits.patience_s * 1000
    options = {
        # gRPC itself takes messages of 4 MB, and no image more than a few of those.
        "grpc.max_receive_message_length": limits.max_body,
        "grpc.max_send_message_length": _UNLIMITED,
        "grpc.max_metadata_size": limits.max_head,
        "grpc.absolute_max_metadata_size": limits.max_head,
        "grpc.max_concurrent_streams": _MOST_STREAMS,
        "grpc.server_handshake_timeout_ms": patience_ms,
        "grpc.max_connection_idle_ms": idle_ms,
        # A client that is gone without a word is asked after, and its calls are given up.
        "grpc.keepalive_time_ms": idle_ms,
        "grpc.keepalive_timeout_ms": patience_ms,
    }
    return {name: min(value, _LARGEST) for name, value in options.items()}
