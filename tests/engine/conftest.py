"""Stub units, all in one process, and an engine in front of them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiohttp import web
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.tree import bind_endpoints
from graphc.seldon.unit import Endpoint, SeldonUnit

Json = Any


@dataclass(frozen=True)
class Call:
    """What one unit got."""

    method: str
    path: str
    body: Json
    headers: Mapping[str, str]
    raw: bytes


Handler = Callable[[web.Request, bytes], Any]


@dataclass
class Stub:
    """A unit that answers as it is told and remembers what it got."""

    behaviour: dict[str, Json]
    calls: list[Call] = field(default_factory=list[Call])
    port: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        path = request.raw_path
        self.calls.append(Call(request.method, path, body, dict(request.headers), raw))
        if request.method == "GET":
            return self._describe(path)
        try:
            return await self._answer(body)
        except (KeyError, TypeError, IndexError) as error:
            return web.json_response({"error": f"stub: {type(error).__name__}"}, status=500)

    def _describe(self, path: str) -> web.Response:
        name = self.behaviour["name"]
        if path == "/v2/health/ready":
            return web.Response()
        if path.endswith("/ready"):
            return web.json_response({"name": name, "ready": True})
        return web.json_response({"name": name, "platform": "stub", "inputs": [], "outputs": []})

    async def _answer(self, body: Json) -> web.Response:
        told = self.behaviour
        match told["do"]:
            case "affine":
                return web.json_response(self._affine(body))
            case "mean" | "max":
                return web.json_response(self._combine(body))
            case "echo":
                return web.json_response(_echo(body))
            case "route":
                return web.json_response(told["routes"])
            case "fail":
                return web.json_response({"error": told["message"]}, status=told["status"])
            case "sleep":
                await asyncio.sleep(told["seconds"])
                return web.json_response(self._affine(body))
            case _:
                return web.Response(
                    status=told.get("status", 200),
                    body=told.get("body", b"<html>not json</html>"),
                    headers={"Content-Type": "application/json", **told.get("headers", {})},
                )

    def _affine(self, body: Json) -> Json:
        tensor = body["inputs"][0]
        a, b = self.behaviour.get("a", 1), self.behaviour.get("b", 0)
        answer = self._result(tensor, [a * value + b for value in tensor["data"]], body)
        if "parameters" in self.behaviour:
            answer["parameters"] = self.behaviour["parameters"]
        return answer

    def _combine(self, body: Json) -> Json:
        first, *_ = body
        columns = zip(*(message["outputs"][0]["data"] for message in body), strict=True)
        if self.behaviour["do"] == "max":
            data = [max(column) for column in columns]
        else:
            data = [sum(column) / len(column) for column in columns]
        # The recorded stub answered a null id where the first message had none.
        return self._result(first["outputs"][0], data, {"id": first.get("id")})

    def _result(self, tensor: Json, data: Json, message: Json) -> dict[str, Json]:
        output = {"name": self.behaviour.get("out", "y"), "shape": tensor["shape"]}
        output |= {"datatype": tensor["datatype"], "data": data}
        answer = {"model_name": self.behaviour["name"], "outputs": [output]}
        return answer | ({"id": message["id"]} if "id" in message else {})


class Stubs:
    """The units of a tree, each on a free port of its own."""

    def __init__(self) -> None:
        self.by_name: dict[str, Stub] = {}

    def calls(self, name: str) -> list[Call]:
        return self.by_name[name].calls

    def endpoints(self) -> dict[str, Endpoint]:
        return {name: Endpoint("127.0.0.1", stub.port) for name, stub in self.by_name.items()}

    def document(self, graph: Mapping[str, Json]) -> dict[str, Json]:
        """Write the deployment that an engine of its own process reads."""
        predictor = {"name": "main", "graph": self._with_endpoints(graph)}
        return {
            "apiVersion": "machinelearning.seldon.io/v1",
            "kind": "SeldonDeployment",
            "metadata": {"name": "stubs"},
            "spec": {"protocol": "v2", "predictors": [predictor]},
        }

    def _with_endpoints(self, graph: Mapping[str, Json]) -> dict[str, Json]:
        unit = {key: value for key, value in graph.items() if key != "behaviour"}
        if graph["name"] in self.by_name:
            port = self.by_name[graph["name"]].port
            unit["endpoint"] = {"service_host": "127.0.0.1", "httpPort": port}
        return {**unit, "children": [self._with_endpoints(child) for child in graph.get("children", [])]}

    @asynccontextmanager
    async def started(self, graph: Mapping[str, Json]) -> AsyncGenerator["Stubs"]:
        """Run a stub for every unit of a tree that has a behaviour."""
        async with AsyncExitStack() as stack:
            for unit in _units(graph):
                if "behaviour" in unit:
                    stub = Stub({"name": unit["name"], **unit["behaviour"]})
                    self.by_name[unit["name"]] = await stack.enter_async_context(_listening(stub))
            yield self

    @asynccontextmanager
    async def engine(self, root: SeldonUnit, options: EngineOptions | None = None) -> AsyncGenerator[Engine]:
        """Run an engine over the stubs."""
        engine = Engine(bind_endpoints(root, self.endpoints()), options or EngineOptions())
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop()


@pytest.fixture
def stubs() -> Stubs:
    return Stubs()


def _echo(body: Json) -> Json:
    kept = {key: body[key] for key in ("id", "parameters") if key in body}
    return {"model_name": "echo", "outputs": body["inputs"], **kept}


def _units(graph: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    children = cast("list[Mapping[str, Json]]", graph.get("children", []))
    return [graph, *(unit for child in children for unit in _units(child))]


@asynccontextmanager
async def _listening(stub: Stub) -> AsyncGenerator[Stub]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stub.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stub.port = runner.addresses[0][1]
        yield stub
    finally:
        await runner.cleanup()
