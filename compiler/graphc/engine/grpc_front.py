"""The V2 protocol over gRPC in front of a tree of units."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final, NoReturn, cast

import grpc
from grpc import aio

from graphc.engine.binary import RequestError, load
from graphc.engine.grpc_convert import AnswerError, to_json, to_model_facts, to_response
from graphc.engine.headers import PUID, Headers, forward
from graphc.engine.message import Answer, Message, decompress
from graphc.engine.proto import (
    SERVICE,
    InferRequest,
    Live,
    Named,
    Readable,
    Ready,
    ServerFacts,
    message_class,
)
from graphc.engine.service import EXTENSIONS, SERVER_NAME, Serving, is_segment
from graphc.engine.wire_json import WireError

Context = aio.ServicerContext[Readable, Readable]
Handler = Callable[[Readable, Context], Awaitable[Readable]]

_UNLIMITED: Final = -1
# Details travel in the trailers, of which clients accept a few kilobytes.
_MAX_DETAILS: Final = 2000
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def build_server(service: Serving) -> aio.Server:
    """Return the server of a service, not yet bound to a port."""
    front = _Front(service)
    server = aio.server(
        options=[
            ("grpc.max_receive_message_length", _UNLIMITED),
            ("grpc.max_send_message_length", _UNLIMITED),
            # Two engines on one port would each get half of the calls.
            ("grpc.so_reuseport", 0),
        ]
    )
    handlers = {name: _handler(name, handle) for name, handle in front.handlers().items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return server


class _Front:
    """Turns gRPC calls into calls of the service."""

    def __init__(self, service: Serving) -> None:
        self._service = service

    def handlers(self) -> dict[str, Handler]:
        """Return what answers each call of the protocol."""
        return {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._model_infer,
        }

    async def _server_live(self, _request: Readable, _context: Context) -> Readable:
        response = cast("Live", message_class("ServerLiveResponse")())
        response.live = True
        return response

    async def _server_ready(self, _request: Readable, _context: Context) -> Readable:
        response = cast("Ready", message_class("ServerReadyResponse")())
        response.ready = await self._service.ready()
        return response

    async def _model_ready(self, request: Readable, context: Context) -> Readable:
        headers = await _forward(context)
        answer = await self._service.model_ready(cast("Named", request).name, headers)
        response = cast("Ready", message_class("ModelReadyResponse")())
        response.ready = answer.status == 200
        return response

    async def _server_metadata(self, _request: Readable, _context: Context) -> Readable:
        response = cast("ServerFacts", message_class("ServerMetadataResponse")())
        response.name, response.version = SERVER_NAME, version("graphc-compiler")
        response.extensions.extend(EXTENSIONS)
        return response

    async def _model_metadata(self, request: Readable, context: Context) -> Readable:
        headers = await _forward(context)
        answer = await self._service.metadata(cast("Named", request).name, headers)
        try:
            return to_model_facts(await _body(answer, context))
        except (AnswerError, WireError) as error:
            return await _abort(context, grpc.StatusCode.INTERNAL, str(error))

    async def _model_infer(self, request: Readable, context: Context) -> Readable:
        headers = await _forward(context)
        infer = cast("InferRequest", request)
        if not is_segment(infer.model_name):
            return await _abort(context, grpc.StatusCode.NOT_FOUND, f"no model `{infer.model_name}`")
        try:
            message = Message(to_json(infer)).known_request()
            answer = await self._service.infer(message, headers, infer.model_name or None)
            return to_response(await _body(answer, context), raw=bool(infer.raw_input_contents))
        except RequestError as error:
            return await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except (AnswerError, WireError) as error:
            return await _abort(context, grpc.StatusCode.INTERNAL, str(error))


def _handler(name: str, handle: Handler) -> "grpc.RpcMethodHandler[Readable, Readable]":
    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=message_class(f"{name}Request").FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )


async def _forward(context: Context) -> Headers:
    pairs = [(str(key), value) for key, value in context.invocation_metadata() or ()]
    texts = ((key, value) for key, value in pairs if isinstance(value, str))
    puid, headers = forward((key, value) for key, value in texts if not key.startswith("grpc-"))
    await context.send_initial_metadata(((PUID.lower(), puid),))
    return headers


async def _body(answer: Answer, context: Context) -> bytes:
    if answer.status == 200:
        return decompress(answer.message)
    code = _CODES.get(answer.status, grpc.StatusCode.INTERNAL)
    return await _abort(context, code, _explain(answer.message.body))


async def _abort(context: Context, code: grpc.StatusCode, details: str) -> NoReturn:
    text = details[:_MAX_DETAILS].encode("utf-8", "replace").decode()
    await context.abort(code, text)
    raise AssertionError("an abort does not return")


def _explain(body: bytes) -> str:
    """Return the text of an error, be it a unit's or the executor's own."""
    text = body.decode("utf-8", "replace")
    try:
        fields = load(body)
    except RequestError:
        return text
    status = fields.get("status")
    info = status.get("info") if isinstance(status, dict) else fields.get("error")
    return info if isinstance(info, str) else text
