"""All that a unit answers besides inference: health, metadata and the index of models, in JSON and nothing else.

What a unit of a fixed graph has no use for is not here: nothing is loaded or unloaded, and there are no documents.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, NamedTuple, Protocol

import orjson

from graphc_runtimes.exchange import Request
from graphc_runtimes.protocol import HotExchange
from graphc_runtimes.routes import split_path
from graphc_runtimes.shown import cut_error, show

JSON: Final = b"content-type: application/json\r\n"
_RETRY: Final = b"retry-after: 1\r\n"
_HOT: Final = frozenset({"infer", "aggregate", "route", "generate"})
_STREAMS: Final = frozenset({"infer_stream", "generate_stream"})
_MOST_TOLD: Final = 20


class Catalog(Protocol):
    """What the host knows of its models."""

    @property
    def names(self) -> Collection[str]:
        """The names that models are called by."""
        ...

    @property
    def versions(self) -> Sequence[str]:
        """The versions that models have."""
        ...

    async def is_ready(self) -> bool:
        """Say whether everything can be asked."""
        ...

    async def is_model_ready(self, name: str) -> bool:
        """Say whether a model can be asked."""
        ...

    async def describe(self) -> object:
        """Describe the server."""
        ...

    async def describe_model(self, name: str) -> object:
        """Describe a model that is ready."""
        ...

    async def index(self, *, is_ready: bool) -> object:
        """List the models, or those that are ready."""
        ...


class Reply(NamedTuple):
    """An answer: its status, its body as what JSON is made of, and headers."""

    status: int
    body: object
    head: bytes = b""


def refuse(status: int, text: str, head: bytes = b"") -> Reply:
    """Return the answer to a request that is not served."""
    return Reply(status, {"error": cut_error(text)}, head)


Count = Callable[[str, str, int], None]
"""Counts a request by its method, its path and the status of its answer."""


class Doors:
    """Answers the requests that are not for the data plane."""

    def __init__(self, catalog: Catalog, count: Count, root: str = "") -> None:
        self._catalog, self._count, self._root = catalog, count, root
        self._tasks: set[asyncio.Task[None]] = set()

    def knows(self, request: Request) -> bool:  # noqa: ARG002 - every path has an answer
        """Say that every request is answered here."""
        return True

    def handle(self, exchange: HotExchange) -> None:
        """Answer a request, as soon as the host has said what it knows."""
        task = asyncio.get_running_loop().create_task(self._answer(exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, exchange: HotExchange) -> None:
        request = exchange.request
        parts = split_path(request.url, self._root)
        label, reply = "", refuse(500, "the unit cannot say")
        try:
            label, reply = await self._find(parts, exchange)
        finally:
            if label:
                self._count(request.method.decode("latin-1"), label, reply.status)
            body = b"" if reply.body is None else orjson.dumps(reply.body)
            exchange.respond(reply.status, JSON + reply.head, body)

    async def _find(self, parts: tuple[str, ...] | None, exchange: HotExchange) -> tuple[str, Reply]:
        """Return what a path is counted as (nothing: not at all), and the answer."""
        method = exchange.request.method
        match parts:
            case ("v2",):
                return "/v2", await _get(method, self._server)
            case ("v2", "health", "live"):
                return "", await _get(method, _live)
            case ("v2", "health", "ready"):
                return "", await _get(method, self._ready)
            case ("v2", "repository", "index"):
                return "/v2/repository/index", await _post(method, lambda: self._index(exchange))
            case ("v2", "repository", "models", _, "load" | "unload"):
                return "", refuse(404, "the models of this unit are fixed: none is loaded or unloaded")
            case ("v2", "models", name, *rest):
                return await self._find_model(method, name, rest)
            case _:
                return "", refuse(404, "there is nothing at this path")

    async def _find_model(self, method: bytes, name: str, rest: Sequence[str]) -> tuple[str, Reply]:
        catalog = self._catalog
        if name not in catalog.names:
            return "", refuse(404, f"model {show(name)} not found")
        match rest:
            case ["versions", version, *more]:
                if version not in catalog.versions:
                    return "", refuse(404, _no_version(name, version, catalog.versions))
                rest = more
            case _:
                pass
        match rest:
            case []:
                return "/v2/models/{model_name}", await _get(method, lambda: self._model(name))
            case ["ready"]:
                return "/v2/models/{model_name}/ready", await _get(method, lambda: self._model_ready(name))
            case [verb] if verb in _HOT:
                # The data plane has those of models that have loaded.
                return "", await _post(method, lambda: self._unready(name))
            case [verb] if verb in _STREAMS:
                # Those of models that do are answered elsewhere.
                return "", await _post(method, lambda: self._streamless(name))
            case _:
                return "", refuse(404, "there is nothing at this path")

    async def _server(self) -> Reply:
        return Reply(200, await self._catalog.describe())

    async def _ready(self) -> Reply:
        is_ready = await self._catalog.is_ready()
        return Reply(200, {"ready": True}) if is_ready else refuse(503, "the unit is not ready", _RETRY)

    async def _model_ready(self, name: str) -> Reply:
        if not await self._catalog.is_model_ready(name):
            return await self._unready(name)
        return Reply(200, {"name": name, "ready": True})

    async def _model(self, name: str) -> Reply:
        if not await self._catalog.is_model_ready(name):
            return await self._unready(name)
        return Reply(200, await self._catalog.describe_model(name))

    async def _unready(self, name: str) -> Reply:
        return refuse(503, f"model {show(name)} is not ready", _RETRY)

    async def _streamless(self, name: str) -> Reply:
        if not await self._catalog.is_model_ready(name):
            return await self._unready(name)
        return refuse(404, f"model {show(name)} does not answer in streams")

    async def _index(self, exchange: HotExchange) -> Reply:
        try:
            asked: object = orjson.loads(exchange.body or b"{}")
        except orjson.JSONDecodeError:
            return refuse(400, "the body is not JSON")
        wanted = asked.get("ready") if isinstance(asked, dict) else asked  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if not isinstance(wanted, bool | None):
            return refuse(400, "the body is no object with `ready` as a truth value")
        return Reply(200, await self._catalog.index(is_ready=bool(wanted)))


def _no_version(name: str, version: str, versions: Sequence[str]) -> str:
    told = ", ".join(map(show, versions[:_MOST_TOLD]))
    return f"model {show(name)} has no version {show(version)}; " + (
        f"there is {told}" if told else "it has no versions"
    )


async def _live() -> Reply:
    return Reply(200, {"live": True})


async def _get(method: bytes, answer: Callable[[], Awaitable[Reply]]) -> Reply:
    return (
        await answer()
        if method in (b"GET", b"HEAD")
        else refuse(405, "this path takes GET", b"allow: GET\r\n")
    )


async def _post(method: bytes, answer: Callable[[], Awaitable[Reply]]) -> Reply:
    return await answer() if method == b"POST" else refuse(405, "this path takes POST", b"allow: POST\r\n")
