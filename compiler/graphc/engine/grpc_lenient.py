"""The V2 protocol over gRPC in front of units that speak JSON: more than Seldon's executor can do."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Final, cast

import grpc

from graphc.engine.binary import RequestError, load
from graphc.engine.call_walk import read_call
from graphc.engine.calls import EndedCallError, Incoming
from graphc.engine.grpc_convert import AnswerError, to_json, to_model_facts, to_response
from graphc.engine.headers import Headers
from graphc.engine.message import Answer, Message, decompress
from graphc.engine.offload import offload
from graphc.engine.proto import (
    Index,
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

Handler = Callable[[Readable, Headers], Awaitable[Readable]]

# Details travel in the trailers, and clients accept only a few kilobytes of those.
_MAX_DETAILS: Final = 2000
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class ConvertedCalls:
    """Turns gRPC calls into calls of a service, which takes and gives JSON."""

    def __init__(self, service: Serving, versions: frozenset[str] = frozenset()) -> None:
        """Answer by the service; where `versions` are known, a call that names another finds nothing."""
        self._service, self._versions = service, versions
        self._handlers: Mapping[str, Handler] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._model_infer,
            "RepositoryIndex": self._repository_index,
        }

    @property
    def unpacks(self) -> bool:
        """Say that clients may compress."""
        return True

    async def answer(self, method: str, message: bytes, incoming: Incoming) -> bytes:
        """Answer a call; raises EndedCallError."""
        handle = self._handlers.get(method)
        if handle is None:
            text = f"a graph has nothing to answer {method} with"
            raise EndedCallError(grpc.StatusCode.UNIMPLEMENTED, text)
        request = await offload(len(message), lambda: read_call(method, message))
        self._check_version(method, request)
        answer = await handle(request, incoming.headers)
        return await offload(answer.ByteSize(), answer.SerializeToString)

    def _check_version(self, method: str, request: Readable) -> None:
        """Refuse a call that names a version which is none of the graph's."""
        if not self._versions or method not in {"ModelInfer", "ModelMetadata", "ModelReady"}:
            return
        is_infer = method == "ModelInfer"
        model = cast("InferRequest", request).model_name if is_infer else cast("Named", request).name
        version = cast("InferRequest", request).model_version if is_infer else cast("Named", request).version
        if version and version not in self._versions:
            raise _end(grpc.StatusCode.NOT_FOUND, f"`{model}` has no version `{version[:64]}` here")

    async def _server_live(self, _request: Readable, _headers: Headers) -> Readable:
        response = cast("Live", message_class("ServerLiveResponse")())
        response.live = True
        return response

    async def _server_ready(self, _request: Readable, _headers: Headers) -> Readable:
        response = cast("Ready", message_class("ServerReadyResponse")())
        response.ready = await self._service.ready()
        return response

    async def _model_ready(self, request: Readable, headers: Headers) -> Readable:
        answer = await self._service.model_ready(cast("Named", request).name, headers)
        response = cast("Ready", message_class("ModelReadyResponse")())
        response.ready = answer.status == 200
        return response

    async def _server_metadata(self, _request: Readable, _headers: Headers) -> Readable:
        response = cast("ServerFacts", message_class("ServerMetadataResponse")())
        response.name, response.version = SERVER_NAME, version("graphc-compiler")
        response.extensions.extend(EXTENSIONS)
        return response

    async def _model_metadata(self, request: Readable, headers: Headers) -> Readable:
        answer = await self._service.metadata(cast("Named", request).name, headers)
        try:
            return to_model_facts(_body(answer))
        except (AnswerError, WireError) as error:
            raise _end(grpc.StatusCode.INTERNAL, str(error)) from None

    async def _model_infer(self, request: Readable, headers: Headers) -> Readable:
        infer = cast("InferRequest", request)
        if not is_segment(infer.model_name):
            raise _end(grpc.StatusCode.NOT_FOUND, f"no model `{infer.model_name}`")
        try:
            message = await offload(infer.ByteSize(), lambda: Message(to_json(infer)).known_request())
            answer = await self._service.infer(message, headers, infer.model_name or None)
            raw = bool(infer.raw_input_contents)
            return await offload(len(answer.message.body), lambda: to_response(_body(answer), raw=raw))
        except RequestError as error:
            raise _end(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
        except (AnswerError, WireError) as error:
            raise _end(grpc.StatusCode.INTERNAL, str(error)) from None

    async def _repository_index(self, _request: Readable, _headers: Headers) -> Readable:
        response = cast("Index", message_class("RepositoryIndexResponse")())
        if graph := self._service.graph:
            state = "READY" if await self._service.ready() else "UNAVAILABLE"
            model = response.models.add()
            model.name, model.state = graph.name, state
        return response


def _body(answer: Answer) -> bytes:
    if answer.status == 200:
        return decompress(answer.message)
    raise _end(
        _CODES.get(answer.status, grpc.StatusCode.INTERNAL), _explain(answer.for_client().message.body)
    )


def _end(code: grpc.StatusCode, details: str) -> EndedCallError:
    return EndedCallError(code, details[:_MAX_DETAILS])


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
