"""The V2 protocol over REST in front of a tree of units, or of several versions of one."""

import json
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST

from graphc.engine.binary import LENGTH_HEADER, RequestError, Wanted, read_request, write_answer
from graphc.engine.connection import Response, StreamedResponse, refusal
from graphc.engine.faults import note_fault
from graphc.engine.headers import PUID, Headers, forward, of_the_body
from graphc.engine.heads import Head
from graphc.engine.limits import Limits, Room
from graphc.engine.message import JSON_TYPE, Answer, Asked, Message, v2_error
from graphc.engine.offload import offload
from graphc.engine.routes import NoRoute, Route, Routes
from graphc.engine.service import EXTENSIONS, SERVER_NAME, Serving
from graphc.engine.streams import UnitStream
from graphc.engine.unpacking import ENCODINGS, TooLargeError, UnpackError, unpack

_JSON: Final = (("Content-Type", JSON_TYPE),)
_PASSED: Final = frozenset({"pass_infer", "pass_stream", "pass_on"})
_PASSING: Final = {"infer": "pass_infer", "infer_stream": "pass_stream"}
"""What a unit that stands alone answers itself, and the front counts."""
_BUSY: Final = "too many bytes are in flight; try again later"


class Application:
    """Answers what connections ask; each version has the protocol again below its own path."""

    def __init__(self, service: Serving, versions: Mapping[str, Serving], limits: Limits, room: Room) -> None:
        self._fronts = {path: _Front(each) for path, each in {**versions, "": service}.items()}
        self._routes = Routes(versions)
        self._limits, self._room = limits, room
        self.is_ending = False
        """Whether the process is about to end, and so is not ready."""

    def refuse(self, head: Head) -> Response | None:
        """Answer from the head alone what leads nowhere."""
        found = self._find(head)
        if isinstance(found, Route):
            return None
        allowed = (("Allow", found.allowed),) if found.allowed else ()
        return refusal(found.status, found.message, allowed)

    async def answer(self, head: Head, body: bytes) -> Response | StreamedResponse:
        """Answer a request, be it a fault of this program's own that stands in the way."""
        try:
            found = self._find(head)
            if isinstance(found, NoRoute):
                return self.refuse(head) or refusal(found.status, found.message)
            if self.is_ending and found.name in {"ready", "model_ready"}:
                return refusal(503, "the server is about to end")
            return await self._answer(found, head, body)
        except Exception as fault:
            return refusal(500, note_fault("a request over HTTP", fault))

    def _find(self, head: Head) -> Route | NoRoute:
        """Return where a request leads: to the unit itself where it stands alone."""
        found = self._routes.find(head)
        below = found.below if isinstance(found, Route) else self._routes.version_of(head.path)
        path = head.path.removeprefix(f"/{below}") if below else head.path
        if not self._fronts[below].is_alone or not (path == "/v2" or path.startswith("/v2/")):
            return found
        if isinstance(found, NoRoute):
            return Route(head.method, "pass_on", below)
        name = _PASSING.get(found.name, "pass_on")
        return Route(head.method, name, below, found.model, found.version)

    async def _answer(self, route: Route, head: Head, body: bytes) -> Response | StreamedResponse:
        front = self._fronts[route.below].of_version(route)
        if isinstance(front, Answer):
            return Response(front.status, front.message.body, (("Content-Type", front.message.content_type),))
        if route.name in _PASSED:
            return await front.handlers[route.name](route, head, body)
        encoding = (head.header("content-encoding") or "identity").lower()
        handle = front.handlers[route.name]
        if encoding == "identity" or not body:
            return await handle(route, head, body)
        if encoding not in ENCODINGS:
            return refusal(415, "the body's content encoding is none of gzip, deflate and identity")
        limit = min(self._limits.max_body, self._room.size - self._room.taken)
        try:
            unpacked = await offload(len(body) * 16, lambda: unpack(body, encoding, limit))
        except TooLargeError as error:
            return refusal(413, str(error))
        except UnpackError as error:
            return refusal(400, str(error))
        if not self._room.take(len(unpacked)):
            return refusal(503, _BUSY, (("Retry-After", "1"),))
        try:
            return await handle(route, head, unpacked)
        finally:
            self._room.give_back(len(unpacked))


class _Front:
    """Turns HTTP requests into calls of the service."""

    def __init__(self, service: Serving) -> None:
        self._service = service
        self.handlers: Mapping[
            str, Callable[[Route, Head, bytes], Awaitable[Response | StreamedResponse]]
        ] = {
            "infer": self._infer,
            "infer_stream": self._infer_stream,
            "metadata": self._metadata,
            "model_ready": self._model_ready,
            "ready": self._ready,
            "live": self._live,
            "metrics": self._metrics,
            "repository_index": self._repository_index,
            "server_metadata": self._server_metadata,
            "pass_infer": self._pass_infer,
            "pass_stream": self._pass_stream,
            "pass_on": self._pass_on,
        }

    @property
    def is_alone(self) -> bool:
        """Whether a unit that stands alone answers all that is asked below `/v2`."""
        return self._service.alone

    async def _pass_infer(self, route: Route, head: Head, body: bytes) -> Response:
        """Have the unit that stands alone answer, and the others get their copies."""
        puid, headers = forward(head.headers)
        return await _respond(await self._service.infer(_as_asked(route, head, body), headers, None), puid)

    async def _pass_stream(self, route: Route, head: Head, body: bytes) -> Response | StreamedResponse:
        """Have the unit that stands alone answer in parts."""
        puid, headers = forward(head.headers)
        return await _stream(await self._service.stream(_as_asked(route, head, body), headers, None), puid)

    async def _pass_on(self, route: Route, head: Head, body: bytes) -> Response:
        """Have the unit that stands alone answer anything else."""
        puid, headers = forward(head.headers)
        return await _respond(await self._service.pass_on(_as_asked(route, head, body), headers), puid)

    def of_version(self, route: Route) -> "_Front | Answer":
        """Return what answers for the version that a route names, if it names one."""
        if route.version is None:
            return self
        found = self._service.of_version(route.model or "", route.version)
        return found if isinstance(found, Answer) else _Front(found)

    async def _infer(self, route: Route, head: Head, body: bytes) -> Response:
        """Send a request through the tree."""
        puid, headers = forward(head.headers)
        try:
            message, wanted = await offload(len(body), lambda: self._read(head, body))
        except RequestError as error:
            return await _respond(v2_error(str(error), 400), puid)
        answer = await self._service.infer(message, headers, route.model)
        return await _respond(answer, puid, wanted)

    async def _infer_stream(self, route: Route, head: Head, body: bytes) -> Response | StreamedResponse:
        """Send a request through the tree, and answer in parts."""
        if self._service.as_seldon:
            # The executor has no such path.
            return refusal(404, "nothing is at this path")
        puid, headers = forward(head.headers)
        try:
            message, _ = await offload(len(body), lambda: self._read(head, body))
        except RequestError as error:
            return await _respond(v2_error(str(error), 400), puid)
        return await _stream(await self._service.stream(message, headers, route.model), puid)

    def _read(self, head: Head, body: bytes) -> tuple[Message, Wanted]:
        length, content_type = head.header(LENGTH_HEADER.lower()), head.header("content-type") or JSON_TYPE
        if self._service.as_seldon and length is not None:
            # The executor takes it for JSON, which it is not.
            return Message(body, content_type), Wanted()
        return read_request(body, length, content_type, converts=not self._service.as_seldon)

    async def _metadata(self, route: Route, head: Head, _: bytes) -> Response:
        """Describe the graph or a unit."""
        puid, headers = forward(head.headers)
        return await _respond(await self._service.metadata(route.model or "", headers), puid)

    async def _model_ready(self, route: Route, head: Head, _: bytes) -> Response:
        """Say whether the graph or a unit is ready."""
        puid, headers = forward(head.headers)
        return await _respond(await self._service.model_ready(route.model or "", headers), puid)

    async def _ready(self, *_: object) -> Response:
        """Say whether every unit is ready."""
        if await self._service.ready():
            return Response(200, b'{"ready":true}', _JSON)
        return Response(503, b'{"ready":false,"error":"a unit is not ready"}', _JSON)

    async def _live(self, *_: object) -> Response:
        """Say that the engine runs."""
        return Response(200, b'{"live":true}', _JSON)

    async def _metrics(self, *_: object) -> Response:
        """Show what was counted."""
        return Response(200, await self._service.metrics.render(), (("Content-Type", CONTENT_TYPE_LATEST),))

    async def _repository_index(self, *_: object) -> Response:
        """List the one model that clients call: the graph."""
        graph = self._service.graph
        state = "READY" if await self._service.ready() else "UNAVAILABLE"
        models = [{"name": graph.name, "state": state, "reason": ""}] if graph else []
        return Response(200, json.dumps(models).encode(), _JSON)

    async def _server_metadata(self, *_: object) -> Response:
        """Name the server and the extensions it has."""
        facts = {"name": SERVER_NAME, "version": version("graphc-compiler"), "extensions": list(EXTENSIONS)}
        return Response(200, json.dumps(facts).encode(), _JSON)


def _as_asked(route: Route, head: Head, body: bytes) -> Message:
    path = head.target.removeprefix(f"/{route.below}") if route.below else head.target
    asked = Asked(head.method, path, of_the_body(head.headers))
    encoding, content_type = head.header("content-encoding") or "", head.header("content-type") or JSON_TYPE
    return Message(body, content_type, encoding, asked)


async def _stream(found: UnitStream | Answer, puid: str) -> Response | StreamedResponse:
    if isinstance(found, Answer):
        return await _respond(found, puid)
    return StreamedResponse(found, (*found.headers, (PUID, puid)))


async def _respond(answer: Answer, puid: str, wanted: Wanted | None = None) -> Response:
    size = len(answer.message.body)
    answer, length = await offload(size, lambda: write_answer(answer.for_client(), wanted or Wanted()))
    if answer.headers is not None:
        return Response(answer.status, answer.message.body, answer.headers)
    headers: Headers = (
        ("Content-Type", answer.message.content_type or JSON_TYPE),
        ("X-Content-Type-Options", "nosniff"),
        (PUID, puid),
    )
    if answer.message.content_encoding:
        headers += (("Content-Encoding", answer.message.content_encoding),)
    if length is not None:
        headers += ((LENGTH_HEADER, str(length)),)
    return Response(answer.status, answer.message.body, headers)
