"""All versions of a graph behind one front: over REST and gRPC, with shadows that misbehave."""

import asyncio
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import aiohttp
import pytest
from aiohttp import web
from call_stubs import send
from graphc.bench.expect import compare_answers
from graphc.client.failure import InferError
from graphc.client.infer import InferOptions, infer
from graphc.client.target import parse_target, with_version
from graphc.compare.observer import NO_ANSWER, Seen
from graphc.engine.listen import Listener
from graphc.engine.proto import ModelFacts, message_class
from graphc.engine.service import ServedGraph
from graphc.rollout.choose import Chooser
from graphc.rollout.shares import Match, Mirror, Rollout, Share, Way, order_ways
from graphc.run.mirroring import Bounds
from graphc.run.versions import Tree, Versions
from graphc.seldon.unit import Endpoint, SeldonUnit

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST: Final = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}]}
METADATA: Final[Json] = {
    "name": "g",
    "platform": "stub",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}],
    "outputs": [{"name": "version", "datatype": "BYTES", "shape": [1]}],
}
NAMES: Final = ("main", "canary", "beta", "two", "ghost", "other")


@dataclass
class Stubs:
    """A unit for each predictor, which answers with the predictor's name or as it was told."""

    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])
    calls: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    """By predictor, the path and the request id of each call."""

    def app(self, name: str) -> web.Application:
        async def handle(request: web.Request) -> web.StreamResponse:
            puid = request.headers.get("Seldon-Puid", "")
            self.calls.setdefault(name, []).append((request.path, puid))
            if name in self.handlers:
                return await self.handlers[name](request)
            output = {"name": "version", "datatype": "BYTES", "shape": [1], "data": [name]}
            return web.json_response({"model_name": "g", "outputs": [output]})

        app = web.Application()
        app.router.add_post("/{path:.*}", handle)
        return app


@dataclass
class Recorder:
    """An observer that keeps what it is told."""

    seen: list[Seen] = field(default_factory=list[Seen])

    def observe(self, seen: Seen) -> None:
        self.seen.append(seen)

    def close(self) -> None:
        pass


@dataclass
class Front:
    """A front that runs: where it listens, what its units got, and what its observer heard."""

    http: aiohttp.ClientSession
    url: str
    grpc_port: int
    stubs: Stubs
    recorder: Recorder
    versions: Versions

    async def ask(self, path: str = "", headers: dict[str, str] | None = None) -> tuple[int, str]:
        url = f"{self.url}{path}/v2/models/g/infer"
        async with self.http.post(url, json=REQUEST, headers=headers) as response:
            body = await response.json()
        return response.status, body["outputs"][0]["data"][0] if "outputs" in body else body["error"]

    async def ask_version(self, version: str) -> tuple[int, str]:
        url = f"{self.url}/v2/models/g/versions/{version}/infer"
        async with self.http.post(url, json=REQUEST) as response:
            body = await response.json()
        return response.status, body["outputs"][0]["data"][0] if "outputs" in body else body["error"]

    async def call(self, headers: dict[str, str] | None = None) -> str:
        pairs = [*(headers or {}).items()]
        target = parse_target(f"grpc://127.0.0.1:{self.grpc_port}/g", None, grpc=False)
        answer = await infer(target, InferOptions(("x=[[1.0]]",), {}, pairs, 10))
        return json.loads(answer.text)["outputs"][0]["data"][0]

    async def count_copies(self) -> dict[tuple[str, str], int]:
        async with self.http.get(f"{self.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        found = [line for line in lines if line.startswith("graphc_mirrored_requests_total")]
        labels = [
            dict(part.split("=") for part in line.split("{")[1].split("}")[0].split(",")) for line in found
        ]
        return {
            (label["predictor"].strip('"'), label["outcome"].strip('"')): int(float(line.rsplit(" ", 1)[1]))
            for label, line in zip(labels, found, strict=True)
        }


def rollout(sticky: str | None = None, **percents: int) -> Rollout:
    ways = order_ways(
        {
            Match(): (Share("main", 90), Share("canary", 10)),
            Match(headers=(("x-version", "beta"),)): (Share("beta", 100),),
            Match("v2"): (Share("two", 100),),
        }
    )
    return Rollout(ways, tuple(Mirror(name, percent) for name, percent in percents.items()), sticky)


@asynccontextmanager
async def serving(
    plan: Rollout,
    stubs: Stubs | None = None,
    bounds: Bounds | None = None,
    dead: tuple[str, ...] = (),
    named: Mapping[str, str] | None = None,
) -> AsyncGenerator[Front]:
    stubs, recorder = stubs or Stubs(), Recorder()
    async with AsyncExitStack() as stack:
        trees: dict[str, Tree] = {}
        for name in NAMES:
            runner = web.AppRunner(stubs.app(name), shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            unit = SeldonUnit("m", "MODEL", endpoint=Endpoint("127.0.0.1", int(runner.addresses[0][1])))
            trees[name] = Tree(unit, ServedGraph("g", METADATA), 20, version=(named or {}).get(name))
            if name in dead:
                await runner.cleanup()
        versions = Versions(trees, Chooser("g", plan, random.Random(3)), recorder, bounds or Bounds())
        listener = Listener("127.0.0.1", 0, 0)
        versions.start()
        stack.push_async_callback(versions.stop)
        await listener.start(versions.rest, versions.calls, versions.below)
        stack.push_async_callback(listener.stop)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        assert listener.grpc_port is not None
        url = f"http://127.0.0.1:{listener.http_port}"
        yield Front(http, url, listener.grpc_port, stubs, recorder, versions)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 100))


async def settle(front: Front, count: int) -> None:
    """Wait until that many copies have ended in some way."""
    for _ in range(200):
        if sum((await front.count_copies()).values()) >= count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(await front.count_copies())


def test_a_canary_gets_its_share() -> None:
    async def test() -> None:
        async with serving(rollout()) as front:
            answers = [await asyncio.gather(*(front.ask() for _ in range(20))) for _ in range(30)]
        counts = Counter(version for batch in answers for _, version in batch)
        assert set(counts) == {"main", "canary"}
        # Five standard deviations of a draw of 600 around 60.
        assert 24 <= counts["canary"] <= 96

    run(test)


@pytest.mark.slow
def test_ten_thousand_requests_are_shared_90_to_10() -> None:
    async def test() -> None:
        counts = Counter[str]()
        async with serving(rollout()) as front:
            for _ in range(500):
                answers = await asyncio.gather(*(front.ask() for _ in range(20)))
                assert {status for status, _ in answers} == {200}
                counts.update(version for _, version in answers)
        assert counts.total() == 10_000
        assert set(counts) == {"main", "canary"}
        # The standard deviation is 30; one run in a million is further away than this.
        assert abs(counts["canary"] - 1000) < 150

    run(test)


def test_headers_and_urls_lead_to_versions() -> None:
    async def test() -> None:
        async with serving(rollout()) as front:
            assert await front.ask(headers={"x-version": "beta"}) == (200, "beta")
            assert await front.ask("/v2") == (200, "two")
            assert await front.ask("/v2", {"X-Version": "beta"}) == (200, "two")
            # The unit is asked by the path that the cluster's routes rewrite to.
            assert {path for path, _ in front.stubs.calls["two"]} == {"/v2/models/g/infer"}
            async with front.http.post(f"{front.url}/v3/v2/models/g/infer", json=REQUEST) as response:
                assert response.status == 404
            async with front.http.get(f"{front.url}/v2/v2/models/g") as response:
                assert (await response.json())["platform"] == "stub"
            for path in ("/v2/health/ready", "/v2/v2/health/ready", "/ready"):
                async with front.http.get(front.url + path) as response:
                    assert response.status == 200

    run(test)


def test_what_no_version_answers_is_not_found() -> None:
    async def test() -> None:
        only_paths = Rollout((Way(Match("v2"), (Share("two", 100),)),))
        async with serving(only_paths) as front:
            assert await front.ask("/v2") == (200, "two")
            assert await front.ask() == (404, "no version answers at this path with these headers")

    run(test)


def test_a_key_is_kept_over_rest_and_grpc() -> None:
    async def test() -> None:
        async with serving(rollout(sticky="x-user")) as front:
            chosen: dict[str, set[str]] = {}
            for user in map(str, range(40)):
                asked = [(await front.ask(headers={"X-User": user}))[1] for _ in range(3)]
                called = await front.call({"x-user": user})
                chosen[user] = {*asked, called}
        assert all(len(versions) == 1 for versions in chosen.values())
        assert {each for versions in chosen.values() for each in versions} == {"main", "canary"}

    run(test)


def test_calls_lead_to_versions() -> None:
    async def test() -> None:
        async with serving(rollout(ghost=100)) as front:
            assert await front.call({"x-version": "beta"}) == "beta"
            assert await front.call({"graphc-path": "v2"}) == "two"
            assert await front.call() in {"main", "canary"}
            await settle(front, 3)
            assert await front.count_copies() == {("ghost", "answered"): 3}

    run(test)


def test_copies_share_the_id_of_the_request() -> None:
    async def test() -> None:
        async with serving(rollout(ghost=100, other=100)) as front:
            url = f"{front.url}/v2/models/g/infer"
            async with front.http.post(url, json=REQUEST) as response:
                made = response.headers["Seldon-Puid"]
            await front.ask(headers={"Seldon-Puid": "given", "x-version": "beta"})
            await settle(front, 4)
        for shadow in ("ghost", "other"):
            assert {puid for _, puid in front.stubs.calls[shadow]} == {made, "given"}
        live = [each for each in front.recorder.seen if not each.shadow]
        assert [(each.request, each.mirrored) for each in live] == [
            (made, ("ghost", "other")),
            ("given", ("ghost", "other")),
        ]
        assert json.loads(live[0].asked) == REQUEST
        copies = Counter(
            (each.request, each.predictor, each.status) for each in front.recorder.seen if each.shadow
        )
        assert copies == Counter((puid, name, 200) for puid in (made, "given") for name in ("ghost", "other"))
        assert all(each.seconds > 0 and b"outputs" in each.body for each in front.recorder.seen)

    run(test)


def test_a_part_of_the_requests_is_mirrored() -> None:
    async def test() -> None:
        async with serving(rollout(ghost=20), bounds=Bounds(waiting=1000)) as front:
            for _ in range(20):
                await asyncio.gather(*(front.ask() for _ in range(20)))
            copied = [each for each in front.recorder.seen if each.mirrored]
            await settle(front, len(copied))
        # Five standard deviations of a draw of 400 around 80.
        assert 40 <= len(front.stubs.calls["ghost"]) == len(copied) <= 120

    run(test)


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def answer_garbage(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\xff\xfe{" + b"[" * 100_000, content_type="application/json")


async def drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    raise ConnectionResetError


MISBEHAVING: Final[dict[str, Handler | None]] = {
    "hangs": hang,
    "answers garbage": answer_garbage,
    "drops": drop,
    "is dead": None,
}


def test_shares_move_while_requests_come_and_a_shadow_becomes_live() -> None:
    async def test() -> None:
        async with serving(rollout(ghost=100), bounds=Bounds(waiting=1000)) as front:
            stop = asyncio.Event()
            seen: list[tuple[int, str]] = []

            async def ask() -> None:
                while not stop.is_set():
                    seen.append(await front.ask())

            clients = [asyncio.create_task(ask()) for _ in range(4)]
            for main, ghost in ((90, 10), (50, 50), (0, 100)):
                await asyncio.sleep(0.2)
                shares = (Share("main", main), Share("canary", 0), Share("ghost", ghost))
                await front.versions.share(Rollout((Way(Match(), shares), *rollout().ways[:-1])))
            # What was under way when the shares moved is answered as they were.
            await asyncio.sleep(0.05)
            before = len(seen)
            await asyncio.sleep(0.2)
            stop.set()
            await asyncio.gather(*clients)
            assert front.versions.live >= {"ghost"}
            assert await front.call() == "ghost"
            copies = await front.count_copies()
            # Back again: it gets copies, and answers nobody.
            await front.versions.share(rollout(ghost=100))
            assert [await front.ask() for _ in range(20)].count((200, "ghost")) == 0
            await settle(front, sum(copies.values()) + 20)
        assert {status for status, _ in seen} == {200}
        assert {version for _, version in seen[before:]} == {"ghost"}
        assert len(seen) > before > 0

    run(test)


def test_no_request_waits_for_its_copy() -> None:
    async def test() -> None:
        bounds = Bounds(waiting=20, at_once=4, seconds=3600, grace=0.1)
        async with serving(rollout(ghost=100), Stubs({"ghost": hang}), bounds) as front:
            assert {status for status, _ in [await front.ask() for _ in range(300)]} == {200}
            # All others are still under way, or wait for these.
            assert await front.count_copies() == {("ghost", "dropped"): 300 - 20 - 4}

    run(test)


def test_a_copy_that_takes_too_long_is_late() -> None:
    async def test() -> None:
        bounds = Bounds(waiting=20, at_once=4, seconds=0.1)
        async with serving(rollout(ghost=100), Stubs({"ghost": hang}), bounds) as front:
            for _ in range(5):
                await front.ask()
            await settle(front, 5)
            assert await front.count_copies() == {("ghost", "late"): 5}

    run(test)


@pytest.mark.parametrize("how", MISBEHAVING)
def test_a_shadow_that_misbehaves_costs_nothing(how: str) -> None:
    handler = MISBEHAVING[how]

    async def measure(front: Front) -> list[float]:
        """Return the processor time of each request: the machine may be busy with other things."""
        seconds: list[float] = []
        for _ in range(100):
            started = time.thread_time()
            status, _version = await front.ask()
            seconds.append(time.thread_time() - started)
            assert status == 200
        return seconds

    async def test() -> None:
        stubs = Stubs({"ghost": handler} if handler else {})
        dead = () if handler else ("ghost",)
        bounds = Bounds(waiting=20, at_once=4, seconds=0.5, pause=60, grace=0.1)
        async with serving(rollout()) as alone, serving(rollout(ghost=100), stubs, bounds, dead) as front:
            without, beside = list[float](), list[float]()
            for _ in range(3):
                without += await measure(alone)
                beside += await measure(front)
            copies = await front.count_copies()
            assert sum(copies.values()) >= 300 - bounds.waiting - bounds.at_once
            if how == "is dead":
                assert copies["ghost", "dropped"] > copies["ghost", "failed"]
            if how == "hangs":
                assert set(copies) <= {("ghost", "dropped"), ("ghost", "late")}
            mirrored = sum(bool(each.mirrored) for each in front.recorder.seen)
            assert mirrored == 300 - copies.get(("ghost", "dropped"), 0)
            if how != "answers garbage":
                statuses = {each.status for each in front.recorder.seen if each.shadow}
                assert statuses <= {NO_ANSWER, 500}
        assert statistics.median(beside) < statistics.median(without) * 3 + 0.01

    run(test)


def test_waiting_copies_are_bounded_in_bytes() -> None:
    async def test() -> None:
        stubs = Stubs({"ghost": hang})
        bounds = Bounds(waiting=1000, waiting_bytes=1000, at_once=1, grace=0.1)
        async with serving(rollout(ghost=100), stubs, bounds) as front:
            for _ in range(30):
                await front.ask()
            size = len(json.dumps(REQUEST))
            dropped = (await front.count_copies())["ghost", "dropped"]
            assert dropped == 30 - 1 - 1000 // size

    run(test)


def test_a_shadow_keeps_nobody_waiting_for_readiness() -> None:
    async def test() -> None:
        async with (
            serving(rollout(ghost=100), dead=("ghost",)) as front,
            front.http.get(f"{front.url}/v2/health/ready") as response,
        ):
            assert response.status == 200
        async with (
            serving(rollout(ghost=100), dead=("canary",)) as front,
            front.http.get(f"{front.url}/v2/health/ready") as response,
        ):
            assert response.status == 503

    run(test)


def test_figures_are_kept_by_predictor() -> None:
    async def test() -> None:
        async with serving(rollout()) as front:
            await front.ask("/v2")
            await front.ask(headers={"x-version": "beta"})
            async with front.http.get(f"{front.url}/metrics") as response:
                lines = (await response.text()).splitlines()
        for name in ("two", "beta"):
            assert f'graphc_engine_requests_total{{code="200",predictor="{name}"}} 1.0' in lines

    run(test)


def test_a_version_is_asked_by_its_name_over_rest() -> None:
    async def test() -> None:
        async with serving(rollout(ghost=100)) as front:
            for name in NAMES:
                status, answered = await front.ask_version(name)
                assert (status, answered) == (200, name), name
            # Who asks for a version is answered by it alone.
            assert await front.count_copies() == {}
            status, answered = await front.ask_version("nope")
            assert status == 404
            assert answered == f"`g` has no version `nope`; there are: {', '.join(f'`{n}`' for n in NAMES)}"
            async with front.http.get(f"{front.url}/v2/models/g") as response:
                assert (await response.json())["versions"] == list(NAMES)
            async with front.http.get(f"{front.url}/v2/models/g/versions/canary/ready") as response:
                assert response.status == 200
            assert {path for path, _ in front.stubs.calls["canary"]} == {"/v2/models/g/infer"}

    run(test)


def test_a_version_is_asked_by_its_name_over_grpc() -> None:
    async def test() -> None:
        async with serving(rollout()) as front:
            for name in NAMES:
                reply = await send(front.grpc_port, version_request(name))
                assert (reply.code, name.encode() in reply.message) == ("OK", True), reply
            reply = await send(front.grpc_port, version_request("nope"))
            assert reply.code == "NOT_FOUND"
            assert "there are: `main`" in reply.details
            facts: Any = {
                "method": "ModelMetadata",
                "message": {"name": "g"},
                "metadata": [],
                "timeout_s": 20,
            }
            reply = await send(front.grpc_port, facts)
            read = message_class("ModelMetadataResponse").FromString(reply.message)
            assert list(cast("ModelFacts", read).versions) == list(NAMES)

    run(test)


def test_another_name_of_a_version_is_its_name_too() -> None:
    async def test() -> None:
        async with serving(rollout(), named={"two": "2"}) as front:
            assert await front.ask_version("2") == (200, "two")
            assert await front.ask_version("two") == (200, "two")

    run(test)


def version_request(version: str) -> Any:
    tensor = {"name": "x", "datatype": "FP32", "shape": ["1", "1"], "contents": {"fp32_contents": [1.0]}}
    message = {"model_name": "g", "model_version": version, "inputs": [tensor]}
    return {"method": "ModelInfer", "message": message, "metadata": [], "timeout_s": 20}


def test_the_client_asks_a_version_over_both() -> None:
    async def test() -> None:
        async with serving(rollout()) as front:
            for address in (f"{front.url}/v2/models/g", f"grpc://127.0.0.1:{front.grpc_port}/g"):
                target = with_version(parse_target(address), "beta")
                answer = await infer(target, InferOptions(("x=[[1.0]]",), {}, [], 10))
                assert json.loads(answer.text)["outputs"][0]["data"] == ["beta"]
                with pytest.raises(InferError, match="`g` has no version `nope`"):
                    await infer(
                        with_version(parse_target(address), "nope"), InferOptions(("x=[[1.0]]",), {}, [], 10)
                    )

    run(test)


def test_an_address_may_hold_the_version() -> None:
    target = parse_target("http://h:1/v2/models/g/versions/canary/infer")
    assert (target.model, target.version) == ("g", "canary")
    assert with_version(target, "canary") == target
    with pytest.raises(InferError, match="names version `canary`, and `--version` names `main`"):
        with_version(target, "main")


def test_a_canarys_answers_are_not_wrong() -> None:
    def answer(version: str | None, value: float) -> bytes:
        said = {} if version is None else {"model_version": version}
        return json.dumps({**said, "outputs": [{"name": "y", "data": [value]}]}).encode()

    assert compare_answers(answer("canary", 2), None, answer("main", 1), None) == ""
    assert compare_answers(answer("main", 2), None, answer("main", 1), None) != ""
    assert compare_answers(answer(None, 2), None, answer("main", 1), None) != ""
