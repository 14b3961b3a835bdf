"""A graph of one unit without an executor: its front gives every answer as the unit gave it."""

import asyncio
import gzip
import json
import random
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from graphc.engine.limits import Limits
from graphc.engine.listen import Listener
from graphc.engine.service import ServedGraph
from graphc.rollout.choose import Chooser
from graphc.rollout.shares import Match, Mirror, Rollout, Share, order_ways
from graphc.run.front import stands_alone
from graphc.run.versions import Tree, Versions
from graphc.seldon.deployment import Predictor
from graphc.seldon.node import node_of
from graphc.seldon.unit import Endpoint, SeldonUnit

NAMES = ("main", "two", "ghost")


@dataclass
class Units:
    """Units that answer with what they were asked, in words of their own."""

    asked: dict[str, list[tuple[str, str, dict[str, str], bytes]]] = field(
        default_factory=dict[str, list[tuple[str, str, dict[str, str], bytes]]]
    )
    hangs: bool = False

    def app(self, name: str) -> web.Application:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.content.read()
            self.asked.setdefault(name, []).append(
                (request.method, request.raw_path, dict(request.headers), body)
            )
            if self.hangs:
                await asyncio.sleep(60)
            if request.path.endswith("/plain"):
                return web.Response(status=500, text="Internal Server Error")
            if request.path.endswith("/bad"):
                return web.json_response({"error": "shape <1,2>"}, status=400, headers={"X-Why": "shape"})
            headers = {"X-Unit": name, "Inference-Header-Content-Length": "2", "X-Two": "a"}
            return web.Response(
                body=b"{}\xff\x00<>", content_type="application/octet-stream", headers=headers
            )

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        return app


@asynccontextmanager
async def serving(units: Units, limits: Limits | None = None) -> AsyncGenerator[aiohttp.ClientSession]:
    limits = limits or Limits()
    async with AsyncExitStack() as stack:
        trees: dict[str, Tree] = {}
        for name in NAMES:
            runner = web.AppRunner(units.app(name), shutdown_timeout=0.1, auto_decompress=False)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            unit = SeldonUnit("m", "MODEL", endpoint=Endpoint("127.0.0.1", int(runner.addresses[0][1])))
            trees[name] = Tree(unit, ServedGraph("g", {"name": "g"}), mode="unit")
        ways = order_ways({Match(): (Share("main", 100),), Match("v2"): (Share("two", 100),)})
        chooser = Chooser("g", Rollout(ways, (Mirror("ghost", 100),), None), random.Random(1))
        versions = Versions(trees, chooser, limits=limits)
        versions.start()
        stack.push_async_callback(versions.stop)
        listener = Listener("127.0.0.1", 0, None, limits)
        await listener.start(versions.rest, versions.calls, versions.below)
        stack.push_async_callback(listener.stop, 0.1)
        yield await stack.enter_async_context(
            aiohttp.ClientSession(f"http://127.0.0.1:{listener.http_port}", auto_decompress=False)
        )


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_an_answer_passes_as_the_unit_gave_it() -> None:
    async def test() -> None:
        units = Units()
        async with serving(units) as http:
            body = gzip.compress(b'{"any": "thing"}\x00')
            headers = {"Content-Encoding": "gzip", "Inference-Header-Content-Length": "16", "X-A": "b"}
            async with http.post("/v2/models/x/infer?q=1", data=body, headers=headers) as response:
                assert await response.read() == b"{}\xff\x00<>"
                got = response.headers
                assert (got["X-Unit"], got["Inference-Header-Content-Length"]) == ("main", "2")
                assert got["Content-Type"] == "application/octet-stream"
                assert "Seldon-Puid" not in got
            method, path, sent, received = units.asked["main"][0]
            assert (method, path, received) == ("POST", "/v2/models/x/infer?q=1", body)
            assert {key: sent[key] for key in headers} == headers

    run(test)


def test_an_error_passes_as_the_unit_gave_it_unless_it_is_a_servers_own_words() -> None:
    async def test() -> None:
        async with serving(Units()) as http:
            async with http.post("/v2/models/bad", data=b"x") as response:
                assert (response.status, await response.read()) == (400, b'{"error": "shape <1,2>"}')
                assert response.headers["X-Why"] == "shape"
            async with http.post("/v2/models/plain", data=b"x") as response:
                assert response.status == 500
                assert "Internal" not in json.loads(await response.read())["error"]

    run(test)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2"),
        ("GET", "/v2/health/ready"),
        ("GET", "/v2/models/g/config"),
        ("PUT", "/v2/anything/at/all"),
        ("POST", "/v2/repository/models/g/load"),
        ("DELETE", "/v2/models/g/infer"),
    ],
)
def test_all_of_the_protocol_is_the_units(method: str, path: str) -> None:
    async def test() -> None:
        units = Units()
        async with serving(units) as http:
            for below, name in (("", "main"), ("/v2", "two")):
                async with http.request(method, f"{below}{path}") as response:
                    assert response.headers["X-Unit"] == name
                assert units.asked[name][-1][:2] == (method, path)
            async with http.get("/metrics") as response:
                assert b"graphc_engine_unit_requests" in await response.read()
            async with http.get("/elsewhere") as response:
                assert response.status == 404

    run(test)


def test_a_shadow_gets_its_copy_as_it_came() -> None:
    async def test() -> None:
        units = Units()
        async with serving(units) as http:
            async with http.post("/v2/models/g/infer", data=b"\x00raw") as response:
                assert response.status == 200
            for _ in range(500):
                if units.asked.get("ghost"):
                    break
                await asyncio.sleep(0.02)
            _, path, headers, body = units.asked["ghost"][0]
            assert (path, body) == ("/v2/models/g/infer", b"\x00raw")
            assert headers["Seldon-Puid"] == units.asked["main"][0][2]["Seldon-Puid"]

    run(test)


def test_a_unit_that_is_late_or_away_is_told_in_json() -> None:
    async def test() -> None:
        async with (
            serving(Units(hangs=True), Limits(unit_timeout_s=0.2)) as http,
            http.get("/v2/models/g") as response,
        ):
            assert (response.status, [*json.loads(await response.read())]) == (504, ["error"])
        unit = SeldonUnit("m", "MODEL", endpoint=Endpoint("127.0.0.1", 9))
        ways = order_ways({Match(): (Share("main", 100),)})
        chooser = Chooser("g", Rollout(ways), random.Random(1))
        versions = Versions({"main": Tree(unit, ServedGraph("g", {}), mode="unit")}, chooser)
        versions.start()
        listener = Listener("127.0.0.1", 0, None, Limits())
        await listener.start(versions.rest, versions.calls, versions.below)
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{listener.http_port}/v2") as response,
        ):
            assert response.status == 503
            assert "connection refused" in (await response.json())["error"]
        await listener.stop(0.1)
        await versions.stop()

    run(test)


@pytest.mark.parametrize(
    ("annotation", "children", "alone"),
    [("true", 0, True), ("false", 0, False), (None, 0, False), ("true", 1, False)],
)
def test_who_stands_alone(annotation: str | None, children: int, alone: bool) -> None:
    graph = SeldonUnit("m", children=(SeldonUnit("m"),) * children)
    annotations = {} if annotation is None else {"seldon.io/no-engine": annotation}
    predictor = Predictor("main", graph, node=node_of({"annotations": annotations}))
    assert stands_alone(predictor) is alone
