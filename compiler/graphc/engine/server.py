"""The V2 protocol over REST in front of a tree of units, or of several versions of one."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from graphc.engine.binary import LENGTH_HEADER, RequestError, Wanted, read_request, write_answer
from graphc.engine.headers import PUID, Headers, forward
from graphc.engine.message import JSON_TYPE, Answer, Message, v2_error
from graphc.engine.service import EXTENSIONS, SERVER_NAME, Serving, is_segment

MAX_BODY: Final = 1 << 30
"""The executor has no limit; one gibibyte keeps a mistaken client from taking the whole machine."""

_MODEL: Final = "/v2/models/{model}"
_VERSION: Final = _MODEL + "/versions/{version}"


def build_app(service: Serving, versions: Mapping[str, Serving] | None = None) -> web.Application:
    """Return the application that serves a service; each version has the protocol again below its own path."""
    app = web.Application(client_max_size=MAX_BODY)
    for path, below in (versions or {}).items():
        _add_protocol(app.router, _Front(below), f"/{path}")
    front = _Front(service)
    _add_protocol(app.router, front, "")
    app.router.add_get("/ready", front.ready)
    app.router.add_get("/live", front.live)
    for path in ("/metrics", "/prometheus"):
        app.router.add_get(path, front.metrics)
    return app


def _add_protocol(router: web.UrlDispatcher, front: "_Front", base: str) -> None:
    router.add_post(f"{base}/v2/models/infer", front.infer)
    for prefix in (f"{base}{_MODEL}", f"{base}{_VERSION}"):
        router.add_post(f"{prefix}/infer", front.infer)
        router.add_get(f"{prefix}/ready", front.model_ready)
        router.add_get(prefix, front.metadata)
    router.add_get(f"{base}/v2/health/ready", front.ready)
    router.add_get(f"{base}/v2/health/live", front.live)
    router.add_get(f"{base}/v2", front.server_metadata)
    router.add_post(f"{base}/v2/repository/index", front.repository_index)


class _Front:
    """Turns HTTP requests into calls of the service."""

    def __init__(self, service: Serving) -> None:
        self._service = service

    async def infer(self, request: web.Request) -> web.Response:
        """Send a request through the tree."""
        puid, headers = _forward(request)
        model = _model(request)
        try:
            message, wanted = self._read(request, await request.read())
        except RequestError as error:
            return _respond(v2_error(str(error), 400), puid)
        answer = await self._service.infer(message, headers, model)
        return _respond(answer, puid, wanted)

    def _read(self, request: web.Request, body: bytes) -> tuple[Message, Wanted]:
        length = request.headers.get(LENGTH_HEADER)
        if self._service.as_seldon and length is not None:
            # The executor takes it for JSON, which it is not.
            return Message(body, _content_type(request)), Wanted()
        return read_request(body, length, _content_type(request), converts=not self._service.as_seldon)

    async def metadata(self, request: web.Request) -> web.Response:
        """Describe the graph or a unit."""
        puid, headers = _forward(request)
        return _respond(await self._service.metadata(_model(request) or "", headers), puid)

    async def model_ready(self, request: web.Request) -> web.Response:
        """Say whether the graph or a unit is ready."""
        puid, headers = _forward(request)
        return _respond(await self._service.model_ready(_model(request) or "", headers), puid)

    async def ready(self, _: web.Request) -> web.Response:
        """Say whether every unit is ready."""
        return web.Response(status=200 if await self._service.ready() else 503)

    async def live(self, _: web.Request) -> web.Response:
        """Say that the engine runs."""
        return web.Response()

    async def metrics(self, _: web.Request) -> web.Response:
        """Show what was counted."""
        return web.Response(
            body=self._service.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def repository_index(self, _: web.Request) -> web.Response:
        """List the one model that clients call: the graph."""
        graph = self._service.graph
        state = "READY" if await self._service.ready() else "UNAVAILABLE"
        models = [{"name": graph.name, "state": state, "reason": ""}] if graph else []
        return web.Response(text=json.dumps(models), content_type=JSON_TYPE)

    async def server_metadata(self, _: web.Request) -> web.Response:
        """Name the server and the extensions it has."""
        facts = {"name": SERVER_NAME, "version": version("graphc-compiler"), "extensions": list(EXTENSIONS)}
        return web.Response(text=json.dumps(facts), content_type=JSON_TYPE)


def _forward(request: web.Request) -> tuple[str, Headers]:
    return forward(request.headers.items())


def _model(request: web.Request) -> str | None:
    model = request.match_info.get("model")
    if model is not None and not is_segment(model):
        raise web.HTTPNotFound
    return model


def _content_type(request: web.Request) -> str:
    return request.headers.get("Content-Type", JSON_TYPE)


def _respond(answer: Answer, puid: str, wanted: Wanted | None = None) -> web.Response:
    answer, length = write_answer(answer.for_client(), wanted or Wanted())
    headers = {
        "Content-Type": answer.message.content_type or JSON_TYPE,
        "X-Content-Type-Options": "nosniff",
        PUID: puid,
    }
    if answer.message.content_encoding:
        headers["Content-Encoding"] = answer.message.content_encoding
    if length is not None:
        headers[LENGTH_HEADER] = str(length)
    return web.Response(status=answer.status, body=answer.message.body, headers=headers)
