"""Answers in parts through the engine: units that stream as they are told, one or several, and clients of all kinds."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from graphc.engine.limits import Limits
from graphc.engine.listen import Listener
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.service import ServedGraph
from graphc.rollout.choose import Chooser
from graphc.rollout.shares import Match, Rollout, Share, order_ways
from graphc.run.versions import Mode, Tree, Versions
from graphc.seldon.unit import Endpoint, SeldonUnit

Json = dict[str, Any]
PATH: Final = "/v2/models/g/infer_stream"
ASKED: Final = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["note"]}]}


def event(text: str) -> bytes:
    return f'data: {{"outputs":[{{"data":["{text}"]}}]}}\n\n'.encode()


Step = bytes | Callable[[], Awaitable[object]]


@dataclass
class Unit:
    """Streams its steps, and answers all else by its inputs."""

    name: str
    kind: str = "MODEL"
    steps: tuple[Step, ...] = (event("one "), event("two"))
    children: tuple["Unit", ...] = ()
    breaks: bool = False
    refuses: tuple[int, Json] | None = None
    paths: list[str] = field(default_factory=list[str])
    bodies: list[Any] = field(default_factory=list[Any])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    left: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.raw_path)
        self.headers = dict(request.headers)
        self.bodies.append(await request.json() if request.can_read_body else None)
        if not request.path.endswith("_stream"):
            if request.path.endswith("/route"):
                return web.json_response([0])
            return web.json_response({"outputs": [{"name": self.name}]})
        if self.refuses is not None:
            return web.json_response(self.refuses[1], status=self.refuses[0])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Unit": self.name})
        try:
            await response.prepare(request)
            for step in self.steps:
                if isinstance(step, bytes):
                    await response.write(step)
                    self.sent += len(step)
                else:
                    await step()
            if self.breaks:
                assert request.transport is not None
                request.transport.abort()
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
            raise
        return response

    async def start(self, stack: AsyncExitStack) -> SeldonUnit:
        """Listen, and return the unit with all below it as the engine has it."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        children = tuple([await each.start(stack) for each in self.children])
        endpoint = Endpoint("127.0.0.1", int(runner.addresses[0][1]))
        return SeldonUnit(self.name, self.kind, children=children, endpoint=endpoint)


@asynccontextmanager
async def serving(
    unit: Unit, mode: Mode = "lenient", limits: Limits | None = None
) -> AsyncGenerator[tuple[aiohttp.ClientSession, Listener]]:
    limits = limits or Limits()
    async with AsyncExitStack() as stack:
        tree = Tree(await unit.start(stack), ServedGraph("g", {"name": "g"}), mode=mode)
        ways = order_ways({Match(): (Share("main", 100),)})
        versions = Versions({"main": tree}, Chooser("g", Rollout(ways, (), None)), limits=limits)
        versions.start()
        stack.push_async_callback(versions.stop)
        listener = Listener("127.0.0.1", 0, None, limits)
        await listener.start(versions.rest, versions.calls, versions.below)
        stack.push_async_callback(listener.stop, 0.1)
        base = f"http://127.0.0.1:{listener.http_port}"
        yield await stack.enter_async_context(aiohttp.ClientSession(base)), listener


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(bounded())


@pytest.mark.parametrize("mode", ["unit", "lenient"])
@pytest.mark.parametrize("path", [PATH, "/v2/models/g/generate_stream"])
def test_a_stream_passes_as_the_unit_gave_it(mode: Mode, path: str) -> None:
    async def test() -> None:
        unit = Unit("u")
        async with (
            serving(unit, mode) as (http, _),
            http.post(path, json=ASKED, headers={"X-Own": "b"}) as response,
        ):
            assert (response.status, response.content_type) == (200, "text/event-stream")
            assert response.headers["X-Unit"] == "u"
            assert response.headers["Seldon-Puid"]
            assert await response.read() == event("one ") + event("two")
        asked = path if mode == "unit" else PATH
        assert (unit.paths, unit.bodies, unit.headers["X-Own"]) == ([asked], [ASKED], "b")

    run(test)


def test_a_part_is_there_before_the_next_is_made() -> None:
    async def test() -> None:
        go_on = asyncio.Event()
        unit = Unit("u", steps=(event("one "), go_on.wait, event("two")))
        async with serving(unit) as (http, _), http.post(PATH, json=ASKED) as response:
            assert await response.content.readuntil(b"\n\n") == event("one ")
            go_on.set()
            assert await response.content.readuntil(b"\n\n") == event("two")
            assert await response.content.read() == b""

    run(test)


def test_the_units_before_the_last_are_asked_as_ever() -> None:
    async def test() -> None:
        last = Unit("last")
        first = Unit("first", children=(Unit("middle", children=(last,)),))
        async with serving(first) as (http, _), http.post(PATH, json=ASKED) as response:
            assert await response.read() == event("one ") + event("two")
        assert (first.paths, first.children[0].paths) == (["/v2/models/g/infer"],) * 2
        assert (last.paths, last.bodies) == ([PATH], [{"inputs": [{"name": "middle"}]}])

    run(test)


@pytest.mark.parametrize(
    ("kind", "verb"), [("COMBINER", "aggregate_stream"), ("OUTPUT_TRANSFORMER", "infer_stream")]
)
def test_the_unit_on_top_may_be_the_last(kind: str, verb: str) -> None:
    async def test() -> None:
        names = ("a", "b") if kind == "COMBINER" else ("a",)
        root = Unit("root", kind, children=tuple(Unit(name) for name in names))
        async with serving(root) as (http, _), http.post(PATH, json=ASKED) as response:
            assert await response.read() == event("one ") + event("two")
        assert root.paths == [f"/v2/models/g/{verb}"]
        answers = [{"outputs": [{"name": name}]} for name in names]
        assert root.bodies == [answers if kind == "COMBINER" else {"inputs": [{"name": "a"}]}]

    run(test)


def test_a_router_leads_to_the_unit_that_streams() -> None:
    async def test() -> None:
        root = Unit("root", "ROUTER", children=(Unit("a"), Unit("b")))
        async with serving(root) as (http, _), http.post(PATH, json=ASKED) as response:
            assert await response.read() == event("one ") + event("two")
        assert [each.paths for each in root.children] == [[PATH], []]

    run(test)


def test_executors_have_no_streams() -> None:
    async def test() -> None:
        unit = Unit("u")
        async with serving(unit, "executor") as (http, _), http.post(PATH, json=ASKED) as response:
            assert (response.status, unit.paths) == (404, [])

    run(test)


@pytest.mark.parametrize("mode", ["unit", "lenient"])
def test_what_fails_before_the_first_part_is_an_ordinary_answer(mode: Mode) -> None:
    async def test() -> None:
        unit = Unit("u", refuses=(404, {"error": "model `g` does not answer in streams"}))
        async with serving(unit, mode) as (http, listener):
            async with http.post(PATH, json=ASKED) as response:
                assert (response.status, await response.json()) == unit.refuses
            async with http.get(PATH) as response:
                assert response.status == (404 if mode == "unit" else 405)
            unit.refuses = (200, {"outputs": []})
            async with http.post(PATH, json=ASKED) as response:
                assert (response.status, await response.json()) == unit.refuses
            if mode == "lenient":
                async with http.post(PATH, data=b"\x00", headers={"Content-Encoding": "br"}) as response:
                    assert response.status == 415
            metrics = await (await http.get("/metrics")).text()
            assert 'graphc_engine_requests_total{code="404"} 1.0' in metrics
        assert listener.http_port

    run(test)


def test_an_upstream_failure_is_the_executors_own_error() -> None:
    async def test() -> None:
        dead = SeldonUnit("dead", "MODEL", endpoint=Endpoint("127.0.0.1", 1))
        engine = Engine(dead, EngineOptions(graph=ServedGraph("g", {"name": "g"})))
        await engine.start()
        try:
            async with (
                aiohttp.ClientSession(f"http://127.0.0.1:{engine.http_port}") as http,
                http.post(PATH, json=ASKED) as response,
            ):
                told = (await response.json())["error"]
                assert response.status == 503
                assert told.startswith("unit `dead` does not answer: dial tcp 127.0.0.1:1: connect")
        finally:
            await engine.stop()

    run(test)


def test_a_unit_that_breaks_off_is_told_of_in_the_last_event() -> None:
    async def test() -> None:
        async with serving(Unit("u", breaks=True)) as (http, _):
            async with http.post(PATH, json=ASKED) as response:
                found = await response.read()
            told = b'data: {"error":"unit `u` broke off its answer"}\n\n'
            assert found == event("one ") + event("two") + told

    run(test)


def test_a_unit_that_breaks_off_within_an_event_leaves_an_answer_that_is_not_whole() -> None:
    async def test() -> None:
        async with serving(Unit("u", breaks=True, steps=(event("one "), b"data: {"))) as (http, _):
            async with http.post(PATH, json=ASKED) as response:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.read()
            async with http.post(PATH, json=ASKED) as response:
                assert response.status == 200

    run(test)


def test_a_unit_that_falls_silent_ends_the_stream() -> None:
    async def test() -> None:
        unit = Unit("u", steps=(event("one "), lambda: asyncio.sleep(8)))
        async with serving(unit, limits=Limits(unit_timeout_s=0.3)) as (http, _):
            async with http.post(PATH, json=ASKED) as response:
                found = await response.read()
            assert found.endswith(b'data: {"error":"unit `u` has not gone on with its answer in time"}\n\n')
            await asyncio.wait_for(unit.left.wait(), 3)

    run(test)


def test_a_unit_that_is_silent_from_the_start_is_late() -> None:
    async def test() -> None:
        async def hang(_: web.Request) -> web.StreamResponse:
            await asyncio.sleep(8)
            raise AssertionError

        unit = Unit("u")
        unit.handle = hang  # pyright: ignore[reportAttributeAccessIssue]
        limits = Limits(unit_timeout_s=0.3)
        async with serving(unit, limits=limits) as (http, _), http.post(PATH, json=ASKED) as response:
            assert response.status == 504
            assert await response.json() == {"error": "unit `u` has not answered in 0.3 seconds"}

    run(test)


@pytest.mark.parametrize("mode", ["unit", "lenient"])
def test_a_client_that_leaves_ends_the_units_work(mode: Mode) -> None:
    async def test() -> None:
        unit = Unit("u", steps=(event("one "), lambda: asyncio.sleep(8)))
        async with serving(unit, mode) as (http, _):
            response = await http.post(PATH, json=ASKED)
            await response.content.readuntil(b"\n\n")
            response.close()
            await asyncio.wait_for(unit.left.wait(), 3)

    run(test)


def test_a_slow_client_slows_the_unit_down() -> None:
    async def test() -> None:
        part = event("x" * 50_000)
        unit = Unit("u", steps=(part,) * 1000)
        async with serving(unit) as (http, _):
            response = await http.post(PATH, json=ASKED)
            sent = -1
            while sent != unit.sent:
                sent = unit.sent
                await asyncio.sleep(0.5)
            assert sent < 24_000_000
            assert await response.read() == part * 1000

    run(test)


def test_an_answer_has_a_largest_size() -> None:
    async def test() -> None:
        unit = Unit("u", steps=(event("x" * 500),) * 10)
        async with serving(unit, limits=Limits(max_answer=2000)) as (http, _):
            async with http.post(PATH, json=ASKED) as response:
                found = await response.read()
            assert found.endswith(b'data: {"error":"unit `u` answers with more than 2000 bytes"}\n\n')
            assert len(found) < 2500

    run(test)


@pytest.mark.parametrize("grace", [5.0, 0.2])
def test_the_end_waits_for_streams_as_long_as_its_grace(grace: float) -> None:
    async def test() -> None:
        go_on = asyncio.Event()
        unit = Unit("u", steps=(event("one "), go_on.wait, event("two")))
        async with serving(unit) as (http, listener), http.post(PATH, json=ASKED) as response:
            await response.content.readuntil(b"\n\n")
            ending = asyncio.create_task(listener.stop(grace))
            await asyncio.sleep(0.6)
            assert ending.done() == (grace < 1)
            go_on.set()
            if grace > 1:
                assert await response.content.read() == event("two")
            else:
                with pytest.raises(aiohttp.ClientError):
                    await response.content.read()
            await asyncio.wait_for(ending, 2)

    run(test)


def test_a_connection_goes_on_after_a_stream_and_ends_after_one_of_http_1_0() -> None:
    async def test() -> None:
        async with serving(Unit("u")) as (_, listener):
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.http_port)
            body = json.dumps(ASKED).encode()
            for version, times in (("1.1", 2), ("1.0", 1)):
                for _time in range(times):
                    head = f"POST {PATH} HTTP/{version}\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
                    writer.write(head.encode() + body)
                    found = (await reader.readuntil(b"\r\n\r\n")).lower()
                    assert (b"transfer-encoding: chunked" in found) == (version == "1.1")
                    if version == "1.1":
                        assert (await reader.readuntil(b"\r\n0\r\n\r\n")).count(b"data: ") == 2
            assert await reader.read() == event("one ") + event("two")
            writer.close()

    run(test)
