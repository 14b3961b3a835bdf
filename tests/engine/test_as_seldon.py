"""What the engine refuses as Seldon's executor does, beyond the recordings, and what it answers where it may."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from call_stubs import CallStub, CallStubs, Reply, send
from graphc.engine.proto import METHODS
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.service import ServedGraph
from graphc.engine.tree import read_tree
from graphc.seldon.node import node_of
from graphc.seldon.unit import SeldonUnit

if TYPE_CHECKING:
    from conftest import Stubs

Json = Any
TENSOR = {"name": "x", "datatype": "FP32", "shape": ["1"], "contents": {"fp32_contents": [1.0]}}
INFER: Json = {"method": "ModelInfer", "message": {"inputs": [TENSOR]}, "metadata": [], "timeout_s": 20}
DEADLY = METHODS - {"ModelInfer", "ModelReady", "ModelMetadata"}
MODEL = {"type": "MODEL", "behaviour": {"do": "echo"}}


def _ask(graph: Json, *requests: Json, timeout_s: float | None = None) -> list[Reply]:
    """Return what an engine over stubs answers."""

    async def ask() -> list[Reply]:
        stubs = CallStubs()
        async with stubs.started(graph):
            return await _replies(stubs, graph, requests, timeout_s)

    return asyncio.run(ask())


async def _replies(
    stubs: CallStubs, graph: Json, requests: tuple[Json, ...], timeout_s: float | None
) -> list[Reply]:
    root = read_tree(node_of(stubs.document(graph)), admitted=True)
    assert isinstance(root, SeldonUnit)
    engine = Engine(root, EngineOptions(grpc_port=0, as_seldon=True, call_timeout_s=timeout_s))
    await engine.start()
    try:
        assert engine.grpc_port is not None
        return [await send(engine.grpc_port, request) for request in requests]
    finally:
        await engine.stop()


def _abtest(ratio: str, *children: Json) -> Json:
    parameters = [{"name": "ratioA", "value": ratio, "type": "FLOAT"}]
    return {
        "name": "r",
        "implementation": "RANDOM_ABTEST",
        "parameters": parameters,
        "children": list(children),
    }


@pytest.mark.parametrize("method", sorted(DEADLY))
def test_any_other_method_would_end_the_executor(method: str) -> None:
    (reply,) = _ask({"name": "m", **MODEL}, {**INFER, "method": method})
    assert (reply.code, reply.headers) == ("UNAVAILABLE", [])
    assert "Seldon's executor would end here (panic: Not Implemented)" in reply.details


@pytest.mark.parametrize("path", ["/other.Service/Do", "/inference.GRPCInferenceService/TraceSetting"])
def test_what_it_was_not_built_with_is_unimplemented(path: str) -> None:
    (reply,) = _ask({"name": "m", **MODEL}, {**INFER, "method": path})
    assert reply.code == "UNIMPLEMENTED"
    assert reply.details.startswith("unknown ")


@pytest.mark.parametrize(
    ("graph", "code", "details"),
    [
        (_abtest("0", {"name": "a", **MODEL}), "UNAVAILABLE", "index out of range [1] with length 1"),
        (_abtest("x", {"name": "a", **MODEL}), "UNKNOWN", 'strconv.ParseFloat: parsing "x"'),
        ({"name": "t", "type": "TRANSFORMER"}, "UNAVAILABLE", "panic: implement me"),
        ({"name": "t", "type": "MODEL", "methods": ["TRANSFORM_OUTPUT"]}, "UNAVAILABLE", "implement me"),
        (
            {"name": "r", "methods": ["ROUTE"], "children": [{"name": "a", **MODEL}]},
            "UNAVAILABLE",
            "implement",
        ),
        (
            # The first child's answer counts, which is the request itself.
            {"name": "n", "children": [{"name": "l", "type": "COMBINER"}, {"name": "a", **MODEL}]},
            "UNAVAILABLE",
            "is *inference.ModelInferRequest",
        ),
        ({"name": "m", **MODEL, "methods": ["TRANSFORM_INPUT"]}, "OK", ""),
        # One branch dies while another fails: the process is gone either way.
        (
            {
                "name": "m",
                **MODEL,
                "children": [
                    {
                        "name": "a",
                        "type": "MODEL",
                        "behaviour": {"do": "fail", "code": "ABORTED", "details": ""},
                    },
                    {"name": "t", "type": "TRANSFORMER"},
                ],
            },
            "UNAVAILABLE",
            "implement me",
        ),
    ],
)
def test_a_call_ends_where_the_walk_does(graph: Json, code: str, details: str) -> None:
    (reply,) = _ask(graph, INFER)
    assert (reply.code, details in reply.details) == (code, True), reply


def test_bytes_that_are_no_message_are_the_callers_fault() -> None:
    async def ask() -> Reply:
        stubs, graph = CallStubs(), {"name": "m", **MODEL}
        async with stubs.started(graph):
            return (await _replies(stubs, graph, ({**INFER, "raw": b"\xff\xff"},), None))[0]

    reply = asyncio.run(ask())
    assert (reply.code, reply.details) == ("INVALID_ARGUMENT", "the bytes are no message of the protocol")


@pytest.mark.parametrize(("own_s", "limit_s"), [(0.3, None), (20, 0.3)])
def test_the_deadline_is_the_clients_or_the_graphs(own_s: float, limit_s: float | None) -> None:
    slow = {"name": "m", "type": "MODEL", "behaviour": {"do": "echo", "sleep_s": 10}}
    (reply,) = _ask(slow, {**INFER, "timeout_s": own_s}, timeout_s=limit_s)
    assert reply.code == "DEADLINE_EXCEEDED"


def test_a_trace_goes_on_with_a_span_of_the_engines() -> None:
    async def ask() -> CallStub:
        stubs, graph = CallStubs(), {"name": "m", **MODEL}
        async with stubs.started(graph):
            pairs = [["uber-trace-id", "abc:1:0:1"], ["seldon-puid", "p-7"]]
            (reply,) = await _replies(stubs, graph, ({**INFER, "metadata": pairs},), None)
            assert reply.headers == [("seldon-puid", "p-7")]
            return stubs.by_name["m"]

    ((trace, puid),) = [
        (metadata["uber-trace-id"], metadata["seldon-puid"])
        for call in asyncio.run(ask()).calls
        for metadata in (dict(call["metadata"]),)
    ]
    assert puid == "p-7"
    assert trace.startswith("abc:")
    assert trace.endswith(":1:1")


Test = Callable[[aiohttp.ClientSession], Awaitable[None]]


def _over_rest(stubs: "Stubs", test: Test, *, as_seldon: bool) -> None:
    async def run() -> None:
        options = EngineOptions(
            as_seldon=as_seldon, graph=ServedGraph("g", {"name": "g", "platform": "graphc"})
        )
        graph = {"name": "m", "behaviour": {"do": "echo"}}
        async with (
            stubs.started(graph),
            stubs.engine(SeldonUnit("m", "MODEL"), options) as engine,
            aiohttp.ClientSession(f"http://127.0.0.1:{engine.http_port}") as session,
        ):
            await test(session)

    asyncio.run(run())


RAW = b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}'


@pytest.mark.parametrize("as_seldon", [True, False])
def test_raw_tensors_over_rest_are_no_json_to_the_executor(stubs: "Stubs", as_seldon: bool) -> None:
    async def test(session: aiohttp.ClientSession) -> None:
        headers = {
            "Inference-Header-Content-Length": str(len(RAW)),
            "Content-Type": "application/octet-stream",
        }
        async with session.post("/v2/models/g/infer", data=RAW + b"\0\0\x80?", headers=headers) as response:
            body = await response.json()
        if not as_seldon:
            assert (response.status, body["outputs"][0]["data"]) == (200, [1.0])
            return
        assert response.status == 500
        assert body["status"]["status"] == "FAILURE"
        assert "after top-level value" in body["status"]["info"]
        assert not stubs.calls("m")

    _over_rest(stubs, test, as_seldon=as_seldon)


@pytest.mark.parametrize("as_seldon", [True, False])
@pytest.mark.parametrize("end", ["", "/ready"])
def test_the_graphs_own_name_is_no_unit_of_the_executors(stubs: "Stubs", end: str, as_seldon: bool) -> None:
    async def test(session: aiohttp.ClientSession) -> None:
        async with session.get(f"/v2/models/g{end}") as response:
            body = await response.json()
        assert response.status == (500 if as_seldon else 200)
        if as_seldon:
            assert body["status"]["info"] == "Failed to find model g"

    _over_rest(stubs, test, as_seldon=as_seldon)


def test_a_list_for_a_body_is_refused_and_ends_nothing(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession) -> None:
        for _ in range(2):
            async with session.post("/v2/models/g/infer", data=b"[]") as response:
                assert (response.status, "error" in await response.json()) == (400, True)

    _over_rest(stubs, test, as_seldon=True)
