"""Serves a compiled graph inside the test process: real HTTP between the engine and every unit."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from aiohttp import ClientSession, web
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.service import ServedGraph
from graphc.engine.tree import bind_endpoints, read_timeout, read_tree
from graphc.lower.options import Options
from graphc.run.load import load_compiled
from graphc.seldon.node import node_of
from graphc.seldon.unit import Endpoint, SeldonUnit
from graphc_runtimes.environment import Environment, read_environment
from graphc_runtimes.errors import DeadlineError, RequestError, RunError
from graphc_runtimes.messages import Message, write_tensor
from graphc_runtimes.reading import read_message, read_messages
from graphc_runtimes.unit import LoadedUnit as LoadedUnit
from graphc_runtimes.unit import load_unit

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request with the headers that go with it."""

    body: Json
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Compiled:
    """A predictor's tree and the environments of its units."""

    name: str
    root: SeldonUnit
    environments: dict[str, Environment]
    timeout_s: float | None
    variables: dict[str, dict[str, str]]
    """What each unit's container has as its environment, but for where its artefacts are."""


def compile_graph(
    path: Path, level: int, root: Path, version: str | None = None, target: str | None = None
) -> Compiled:
    """Compile a graph for a run on this machine, its artefacts laid out below `root` as they would be mounted.

    Of several predictors it is the one of that name, or the first.
    """
    done = compile_files(Request([str(path)], {}, {}, Options(level), "local", target))
    assert not done.sink.has_errors, [each.message for each in done.sink]
    (emission,) = done.emissions
    documents = cast("list[Json]", [each.plain for each in load_compiled(done).documents])
    (deployment,) = [each for each in documents if each["kind"] == "SeldonDeployment"]
    predictors = {each["name"]: each for each in cast("Json", deployment["spec"])["predictors"]}
    predictor = predictors[version or next(iter(predictors))]
    for _, shipment in (each for each in emission.local if each[0] == predictor["name"]):
        for name, file in shipment.files:
            place = root / shipment.node / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    tree = read_tree(node_of(deployment), predictor["name"])
    assert isinstance(tree, SeldonUnit)
    containers = [each for pod in predictor["componentSpecs"] for each in pod["spec"]["containers"]]
    variables = {each["name"]: _variables(each, root) for each in containers}
    environments = {name: replace(read_environment(each), threads=1) for name, each in variables.items()}
    name = str(cast("Json", deployment["metadata"])["name"])
    timeout_s = read_timeout(node_of(deployment), predictor["name"])
    return Compiled(name, tree, environments, timeout_s, variables)


def _variables(container: Json, root: Path) -> dict[str, str]:
    variables = {each["name"]: each["value"].replace("$$", "$") for each in container["env"]}
    return variables | {"MLSERVER_MODEL_NAME": container["name"], "GRAPHC_ARTIFACTS": str(root)}


def serve_graph(
    path: Path,
    level: int,
    calls: Sequence[Call],
    root: Path,
    version: str | None = None,
    target: str | None = None,
) -> list[tuple[int, Json]]:
    """Serve a graph at an optimisation level, and return the status and body of each call's answer."""
    return asyncio.run(_call(compile_graph(path, level, root, version, target), calls))


async def _call(graph: Compiled, calls: Sequence[Call]) -> list[tuple[int, Json]]:
    async with AsyncExitStack() as stack:
        endpoints: dict[str, Endpoint] = {}
        for name, environment in graph.environments.items():
            port = await _listen(await load_unit(environment), stack)
            endpoints[name] = Endpoint("127.0.0.1", port)
        root = bind_endpoints(graph.root, endpoints)
        named = ServedGraph(graph.name, {"name": graph.name})
        engine = Engine(root, EngineOptions(graph=named, unit_timeout_s=graph.timeout_s))
        await engine.start()
        stack.push_async_callback(engine.stop)
        session = await stack.enter_async_context(ClientSession())
        url = f"http://127.0.0.1:{engine.http_port}/v2/models/{graph.name}/infer"
        answers: list[tuple[int, Json]] = []
        for call in calls:
            async with session.post(url, json=call.body, headers=call.headers) as response:
                answers.append((response.status, await response.json(content_type=None)))
        return answers


async def _listen(unit: LoadedUnit, stack: AsyncExitStack) -> int:
    """Serve one unit as its container would: infer, aggregate and route under any name."""
    app = web.Application(client_max_size=2**26)

    def handler(read: Callable[[bytes, dict[str, str]], Message], routes: bool) -> Any:
        async def handle(request: web.Request) -> web.Response:
            try:
                message = unit.accept(read(await request.read(), dict(request.headers)))
                if routes:
                    return web.json_response([await asyncio.to_thread(unit.route, message)])
                tensors = [write_tensor(each) for each in await asyncio.to_thread(unit.answer, message)]
            except RequestError as error:
                return web.json_response({"error": str(error)}, status=400)
            except RunError as error:
                return web.json_response({"error": str(error)}, status=500)
            except DeadlineError as error:
                return web.json_response({"error": str(error)}, status=504)
            body: Json = {"outputs": tensors, "parameters": unit.carry(message)}
            return web.json_response(body | ({"id": message.id} if message.id else {}))

        return handle

    app.router.add_post("/v2/models/{name}/infer", handler(read_message, routes=False))
    app.router.add_post("/v2/models/{name}/aggregate", handler(read_messages, routes=False))
    app.router.add_post("/v2/models/{name}/route", handler(read_message, routes=True))
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(runner.addresses[0][1])
