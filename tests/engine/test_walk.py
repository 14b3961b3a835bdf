"""What the recordings do not show: faults, parallelism, compression, headers, and requests out of shape."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.service import ServedGraph
from graphc.seldon.unit import Endpoint, Parameter, SeldonUnit

if TYPE_CHECKING:
    from conftest import Stubs

Json = Any
REQUEST = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}]}
JSON_HEADERS = {"Content-Type": "application/json"}
AFFINE = {"do": "affine", "a": 2, "b": 1}


def _serve(
    stubs: "Stubs",
    root: SeldonUnit,
    behaviours: dict[str, Json],
    test: Callable[[aiohttp.ClientSession, Engine], Awaitable[None]],
    options: EngineOptions | None = None,
) -> None:
    units = [{"name": name, "behaviour": told} for name, told in behaviours.items()]

    async def run() -> None:
        async with (
            stubs.started({"name": "", "children": units}),
            stubs.engine(root, options) as engine,
            aiohttp.ClientSession(f"http://127.0.0.1:{engine.http_port}") as session,
        ):
            await test(session, engine)

    asyncio.run(run())


async def _infer(
    session: aiohttp.ClientSession, body: Json = None, headers: dict[str, str] | None = None
) -> tuple[int, Json]:
    sent = body if isinstance(body, bytes) else json.dumps(body or REQUEST).encode()
    async with session.post(
        "/v2/models/infer", data=sent, headers={**JSON_HEADERS, **(headers or {})}
    ) as response:
        return response.status, await response.json(content_type=None)


def _info(answer: Json) -> str:
    return answer["status"]["info"]


MALFORMED = [
    (b"", "the body is not JSON"),
    (b"{", "the body is not JSON"),
    (b"\xff\xfe\x00", "the body is not JSON"),
    (b'{"inputs": [{"data": [NaN]}]}', "the body is not JSON"),
    (b"[" * 100_000, "the JSON nests too deeply"),
    (b'{"inputs": [' + b"1" * 5000 + b"]}", "the body is not JSON"),
    (b"[]", "the body is not a JSON object"),
    (b"null", "the body is not a JSON object"),
    (b"3", "the body is not a JSON object"),
    (b"{}", "the request has no list of `inputs`"),
    (b'{"outputs": []}', "the request has no list of `inputs`"),
    (b'{"inputs": {}}', "the request has no list of `inputs`"),
    (b'{"inputs": [1]}', "an input is not a JSON object"),
]
PARALLEL = SeldonUnit("c", "COMBINER", children=(SeldonUnit("l", "MODEL"), SeldonUnit("r", "MODEL")))


def test_malformed_requests_are_refused_and_the_engine_keeps_serving(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        for body, message in MALFORMED:
            status, answer = await _infer(session, body)
            assert (status, answer["error"].startswith(message)) == (400, True), body[:40]
        assert (await _infer(session))[0] == 200
        assert [len(stubs.calls(name)) for name in "clr"] == [1, 1, 1]

    _serve(stubs, PARALLEL, {"c": {"do": "mean"}, "l": AFFINE, "r": AFFINE}, test)


@pytest.mark.parametrize("routes", [[2], [-3], [10**12]])
def test_a_route_out_of_range_in_a_parallel_branch_is_an_error(stubs: "Stubs", routes: list[int]) -> None:
    router = SeldonUnit("router", "ROUTER", children=(SeldonUnit("a", "MODEL"), SeldonUnit("b", "MODEL")))
    root = SeldonUnit("c", "COMBINER", children=(SeldonUnit("l", "MODEL"), router))

    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session)
        assert status == 500
        assert _info(answer) == f"route {routes[0]} of unit router is out of range, it has 2 children"
        stubs.by_name["router"].behaviour["routes"] = [1]
        assert (await _infer(session))[0] == 200

    behaviours = dict.fromkeys("lab", AFFINE)
    told = {"c": {"do": "mean"}, "router": {"do": "route", "routes": routes}, **behaviours}
    _serve(stubs, root, told, test)


@pytest.mark.parametrize(
    ("answer", "info"),
    [
        ([], "the router answered an empty list"),
        ([1.0], "json: cannot unmarshal number 1.0 into Go value of type int"),
        (["1"], "json: cannot unmarshal string into Go value of type int"),
        ([0, True], "json: cannot unmarshal bool into Go value of type int"),
        ([10**30], f"json: cannot unmarshal number {10**30} into Go value of type int"),
        (1, "json: cannot unmarshal number into Go value of type []int"),
        ({"outputs": []}, "json: cannot unmarshal object into Go value of type []int"),
    ],
)
def test_a_router_must_answer_integers(stubs: "Stubs", answer: Json, info: str) -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, got = await _infer(session)
        assert (status, _info(got)) == (500, info)

    root = SeldonUnit("router", "ROUTER", children=(SeldonUnit("a", "MODEL"),))
    _serve(stubs, root, {"router": {"do": "route", "routes": answer}, "a": AFFINE}, test)


def test_a_seldon_message_routes_too(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        assert (await _infer(session))[1]["model_name"] == "b"

    root = SeldonUnit("router", "ROUTER", children=(SeldonUnit("a", "MODEL"), SeldonUnit("b", "MODEL")))
    told = {"do": "route", "routes": {"data": {"ndarray": [[1]]}}}
    _serve(stubs, root, {"router": told, "a": AFFINE, "b": AFFINE}, test)


def test_a_failing_router_keeps_its_status_and_loses_its_body(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session)
        url = f"http://127.0.0.1:{stubs.by_name['router'].port}/v2/models/router/route"
        assert status == 503
        assert answer["status"]["code"] == 500
        assert _info(answer) == f"Internal service call from executor failed calling {url} status code 503"

    root = SeldonUnit("router", "ROUTER", children=(SeldonUnit("a", "MODEL"),))
    told = {"do": "fail", "status": 503, "message": "busy"}
    _serve(stubs, root, {"router": told, "a": AFFINE}, test)


def test_a_unit_that_does_not_listen_is_an_error(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session)
        assert status == 500
        assert _info(answer) == (
            'Post "http://127.0.0.1:9/v2/models/a/infer": dial tcp 127.0.0.1:9: connect: connection refused'
        )
        async with session.get("/v2/health/ready") as response:
            assert response.status == 503

    _serve(stubs, SeldonUnit("a", "MODEL", endpoint=Endpoint("127.0.0.1", 9)), {}, test)


def test_a_slow_unit_runs_into_the_timeout(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session)
        assert status == 500
        assert _info(answer).endswith("(Client.Timeout exceeded while awaiting headers)")

    told = {"a": {"do": "sleep", "seconds": 2}}
    _serve(stubs, SeldonUnit("a", "MODEL"), told, test, EngineOptions(unit_timeout_s=0.1))


def test_an_answer_that_is_no_object_cannot_be_chained(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session)
        assert status == 500
        assert _info(answer).startswith("the message is not a JSON object")
        stubs.by_name["t"].behaviour["body"] = b'{"data": 1}'
        status, answer = await _infer(session)
        assert _info(answer) == "Failed to convert kfserving response so it could be chained to new input"

    root = SeldonUnit("t", "TRANSFORMER", children=(SeldonUnit("a", "MODEL"),))
    _serve(stubs, root, {"t": {"do": "bytes", "body": b"[1]"}, "a": AFFINE}, test)


def test_children_run_at_once_and_all_are_waited_for(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        started = perf_counter()
        status, answer = await _infer(session)
        assert 0.4 <= perf_counter() - started < 0.75
        assert (status, answer["outputs"][0]["data"]) == (200, [1, 2])
        stubs.by_name["l"].behaviour = {"name": "l", "do": "fail", "status": 418, "message": "l failed"}
        started = perf_counter()
        assert await _infer(session) == (418, {"error": "l failed"})
        assert perf_counter() - started >= 0.4

    sleep = {"do": "sleep", "seconds": 0.4}
    _serve(stubs, PARALLEL, {"c": {"do": "mean"}, "l": sleep, "r": sleep}, test)


def test_methods_do_what_types_do(stubs: "Stubs") -> None:
    methods = frozenset({"TRANSFORM_INPUT", "AGGREGATE", "TRANSFORM_OUTPUT"})
    router = SeldonUnit("r", methods=frozenset({"ROUTE"}), children=(SeldonUnit("m", "MODEL"),))
    root = SeldonUnit(
        "all", methods=methods, children=(SeldonUnit("l", methods=frozenset({"TRANSFORM_INPUT"})), router)
    )

    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        assert (await _infer(session))[0] == 200
        paths = [call.path.rpartition("/")[2] for call in stubs.calls("all")]
        assert paths == ["infer", "aggregate", "infer"]
        assert [call.path for call in stubs.calls("r")] == ["/v2/models/r/route"]

    told = {"all": {"do": "bytes", "body": OUTPUTS}, "r": {"do": "route", "routes": [0]}}
    _serve(stubs, root, {**told, "l": AFFINE, "m": AFFINE}, test)


def test_the_first_child_answers_where_nothing_combines(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        assert (await _infer(session))[1]["model_name"] == "l"
        assert len(stubs.calls("r")) == 1

    children = (SeldonUnit("l", "MODEL"), SeldonUnit("r", "MODEL"))
    _serve(
        stubs,
        SeldonUnit("n", implementation="SIMPLE_ROUTER", children=children),
        {"l": AFFINE, "r": AFFINE},
        test,
    )


@pytest.mark.parametrize(("ratio", "least", "most"), [("1.0", 40, 40), ("0", 0, 0), (None, 5, 35)])
def test_an_ab_test_tosses(stubs: "Stubs", ratio: str | None, least: int, most: int) -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        names = [(await _infer(session))[1]["model_name"] for _ in range(40)]
        assert least <= Counter(names)["a"] <= most

    parameters = () if ratio is None else (Parameter("ratioA", ratio),)
    children = (SeldonUnit("a", "MODEL"), SeldonUnit("b", "MODEL"))
    root = SeldonUnit("t", implementation="RANDOM_ABTEST", parameters=parameters, children=children)
    _serve(stubs, root, {"a": AFFINE, "b": AFFINE}, test)


def test_an_ab_test_with_a_bad_ratio_fails(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session)
        assert (status, _info(answer)) == (500, 'strconv.ParseFloat: parsing "half": invalid syntax')

    root = SeldonUnit(
        "t",
        implementation="RANDOM_ABTEST",
        parameters=(Parameter("ratioA", "half"),),
        children=(SeldonUnit("a"),),
    )
    _serve(stubs, root, {"a": AFFINE}, test)


OUTPUTS = b'{"outputs":[{"name":"y","shape":[1],"datatype":"FP64","data":[3]}]}'
COMPRESSED = {"do": "bytes", "body": gzip.compress(OUTPUTS), "headers": {"Content-Encoding": "gzip"}}


def test_a_compressed_answer_is_unpacked_where_the_client_did_not_ask_for_it(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        assert (await _infer(session))[0] == 200
        body = stubs.calls("c")[0].body
        assert body == [json.loads(OUTPUTS)] * 2
        assert stubs.calls("l")[0].headers["Accept-Encoding"] == "gzip"

    async def plain(session: aiohttp.ClientSession, engine: Engine) -> None:
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{engine.http_port}", skip_auto_headers=["Accept-Encoding"]
        ) as bare:
            await test(bare, engine)

    _serve(
        stubs,
        PARALLEL,
        {"c": AFFINE | {"do": "bytes", "body": OUTPUTS}, "l": COMPRESSED, "r": COMPRESSED},
        plain,
    )


def test_a_compressed_answer_that_the_client_accepts_breaks_a_combiner(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session, headers={"Accept-Encoding": "gzip"})
        assert (status, _info(answer)) == (500, "Data is not JSON")

    _serve(stubs, PARALLEL, {"c": {"do": "mean"}, "l": COMPRESSED, "r": COMPRESSED}, test)


def test_a_compressed_answer_is_unpacked_for_the_next_unit_and_passed_on_as_the_last(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session, headers={"Accept-Encoding": "gzip"})
        assert (status, answer) == (200, json.loads(OUTPUTS))
        assert stubs.calls("m")[0].raw == OUTPUTS.replace(b"outputs", b"inputs").replace(
            b'{"name":"y","shape":[1],"datatype":"FP64","data":[3]}',
            b'{"data":[3],"datatype":"FP64","name":"y","shape":[1]}',
        )

    root = SeldonUnit("t", "TRANSFORMER", children=(SeldonUnit("m", "MODEL"),))
    _serve(stubs, root, {"t": COMPRESSED, "m": COMPRESSED}, test)


def test_a_request_passes_byte_for_byte(stubs: "Stubs") -> None:
    body = b'{ "zz":1.0, "inputs" : [ {"name":"<x>", "data":[1e2, 9007199254740993], "shape":[2]} ] }'

    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        await _infer(session, body, {"Content-Type": "application/json; charset=utf-8"})
        assert stubs.calls("a")[0].raw == body
        assert stubs.calls("a")[0].headers["Content-Type"] == "application/json; charset=utf-8"

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": {"do": "bytes", "body": b"{}"}}, test)


def test_headers_are_forwarded_without_those_of_the_connection(stubs: "Stubs") -> None:
    headers = {"X-Tier": "gold", "Connection": "X-Hop", "X-Hop": "1", "TE": "trailers", "Seldon-Puid": "p-1"}

    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        async with session.post("/v2/models/infer", json=REQUEST, headers=headers) as response:
            assert response.headers["Seldon-Puid"] == "p-1"
        got = stubs.calls("a")[0].headers
        assert (got["X-Tier"], got["Seldon-Puid"]) == ("gold", "p-1")
        assert not {"X-Hop", "TE"} & set(got)
        assert got["Host"] == f"127.0.0.1:{stubs.by_name['a'].port}"

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": AFFINE}, test)


def test_a_compressed_request_is_unpacked(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        body = gzip.compress(json.dumps(REQUEST).encode())
        status, _answer = await _infer(session, body, {"Content-Encoding": "gzip"})
        assert status == 200
        assert stubs.calls("a")[0].body == REQUEST
        assert "Content-Encoding" not in stubs.calls("a")[0].headers

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": AFFINE}, test)


def test_a_name_replaces_every_units_own_and_stays_one_segment(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, engine: Engine) -> None:
        for name, path in (("g", "g"), ("a%20b%3Fc", "a%20b%3Fc")):
            async with session.post(f"/v2/models/{name}/infer", json=REQUEST) as response:
                assert response.status == 200
            assert stubs.calls("a")[-1].path == f"/v2/models/{path}/infer"
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.http_port)
        writer.write(b"GET /v2/models/%2e%2e%2fadmin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b" 404 " in await reader.readline()
        writer.close()
        await writer.wait_closed()

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": AFFINE}, test)


def test_the_graph_has_metadata_and_readiness_of_its_own(stubs: "Stubs") -> None:
    facts: dict[str, Json] = {"name": "g", "platform": "graphc", "inputs": [], "outputs": []}
    options = EngineOptions(graph=ServedGraph("g", lambda: facts), full_health_checks=True)

    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        async with session.get("/v2/models/g") as response:
            assert (response.status, await response.json()) == (200, facts)
        async with session.get("/v2/models/g/versions/1") as response:
            assert (response.status, [*await response.json()]) == (404, ["error"])
        async with session.get("/v2/models/g/ready") as response:
            assert (response.status, await response.json()) == (200, {"name": "g", "ready": True})
        for path in ("/v2/health/ready", "/v2/health/live", "/ready", "/live"):
            async with session.get(path) as response:
                assert response.status == 200
        for path in ("/v2", "/v2/"):
            async with session.get(path) as response:
                assert (await response.json())["extensions"] == ["binary_tensor_data"]
        for word in ("live", "ready"):
            async with session.get(f"/v2/health/{word}") as response:
                assert await response.json() == {word: True}
        async with session.get("/v2/models/nobody") as response:
            assert (response.status, await response.json()) == (404, {"error": "Failed to find model nobody"})

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": AFFINE}, test, options)


def test_calls_are_counted_by_unit(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        await _infer(session)
        async with session.get("/metrics") as response:
            text = await response.text()
        assert 'graphc_engine_unit_requests_total{call="infer",code="200",unit="l"} 1.0' in text
        assert 'graphc_engine_unit_requests_total{call="aggregate",code="200",unit="c"} 1.0' in text
        assert 'graphc_engine_unit_request_seconds_count{call="infer",unit="r"} 1.0' in text
        assert 'graphc_engine_requests_total{code="200"} 1.0' in text

    _serve(stubs, PARALLEL, {"c": {"do": "mean"}, "l": AFFINE, "r": AFFINE}, test)


@pytest.mark.parametrize("depth", [300, 700, 950, 3000])
def test_a_deeply_nested_answer_is_an_answer_or_an_error(stubs: "Stubs", depth: int) -> None:
    body = b'{"outputs":' + b"[" * depth + b"]" * depth + b"}"

    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session)
        assert status == 200 or (status, _info(answer)) == (500, "exceeded max depth")
        stubs.by_name["t"].behaviour["body"] = OUTPUTS
        assert (await _infer(session))[0] == 200

    root = SeldonUnit("t", "TRANSFORMER", children=(SeldonUnit("a", "MODEL"),))
    _serve(stubs, root, {"t": {"do": "bytes", "body": body}, "a": {"do": "bytes", "body": OUTPUTS}}, test)


@pytest.mark.parametrize("status", [201, 204, 304, 404, 599])
def test_a_units_status_is_passed_on(stubs: "Stubs", status: int) -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        async with session.post("/v2/models/infer", json=REQUEST) as response:
            assert response.status == status
            await response.read()

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": {"do": "bytes", "status": status, "body": b"{}"}}, test)


def test_headers_that_are_not_text_do_no_harm(stubs: "Stubs") -> None:
    async def test(_: aiohttp.ClientSession, engine: Engine) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.http_port)
        body = json.dumps(REQUEST).encode()
        head = b"POST /v2/models/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += b"X-Odd: \xff\xfe\r\nSeldon-Puid: \xff\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        assert b" 200 " in await reader.readline()
        writer.close()
        await writer.wait_closed()

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": AFFINE}, test)


def test_a_units_broken_answers_are_errors(stubs: "Stubs") -> None:
    answers = [b"", b"\x00\x01", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"]

    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        for _answer in range(3):
            status, answer = await _infer(session)
            assert status == 500
            assert _info(answer).startswith('Post "http://127.0.0.1:')

    async def run() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answers.pop())
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            root = SeldonUnit(
                "a", "MODEL", endpoint=Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
            )
            async with (
                stubs.engine(root) as engine,
                aiohttp.ClientSession(f"http://127.0.0.1:{engine.http_port}") as session,
            ):
                await test(session, engine)

    asyncio.run(run())


@pytest.mark.parametrize(
    "told",
    [
        {"status": 500, "body": b"Internal Server Error", "headers": {"Content-Type": "text/plain"}},
        {"status": 422, "body": b'{"detail": "' + b"x" * 100_000 + b'"}'},
        {"status": 400, "body": b'["secret payload"]'},
        {"status": 503, "body": b"\xff\xfe"},
    ],
)
def test_a_servers_own_words_reach_no_client(stubs: "Stubs", told: dict[str, Json]) -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        said = f"a unit answered with status {told['status']} and no error that can be passed on"
        assert await _infer(session) == (told["status"], {"error": said})

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": {"do": "bytes", **told}}, test)


def test_what_nobody_expected_is_answered_and_told_by_an_id(
    stubs: "Stubs", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise LookupError("a payload")

    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("graphc.engine.service.walk", fail)
            status, answer = await _infer(session)
        assert status == 500
        identity = answer["error"].rpartition(" ")[2]
        assert identity in caplog.text
        assert "LookupError" in caplog.text
        assert "payload" not in caplog.text + str(answer)
        assert (await _infer(session))[0] == 200

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": AFFINE}, test)


def test_a_client_that_leaves_ends_the_calls_to_units(stubs: "Stubs") -> None:
    async def test(session: aiohttp.ClientSession, engine: Engine) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", engine.http_port)
        body = json.dumps(REQUEST).encode()
        writer.write(
            b"POST /v2/models/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        while not stubs.calls("a"):
            await asyncio.sleep(0.01)
        writer.close()
        metric = 'graphc_engine_unit_requests_total{call="infer",code="none",unit="a"} 1.0'
        for _ in range(500):
            async with session.get("/metrics") as response:
                if metric in await response.text():
                    return
            await asyncio.sleep(0.02)
        raise AssertionError("the call goes on")

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": {"do": "sleep", "seconds": 60}}, test)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/g/infer", 405),
        ("POST", "/v2/health/live", 405),
        ("PUT", "/v2/models/g/infer", 405),
        ("GET", "/nothing", 404),
        ("GET", "/v2/models//ready", 404),
        ("GET", "/v2/models/g/config", 404),
        ("GET", "/v2/models/g/versions/1/stats", 404),
        ("POST", "/v2/repository/models/g/load", 404),
        ("GET", "/v2/systemsharedmemory/status", 404),
        ("POST", "/v2/logging", 404),
        ("GET", "/v2/models/stats", 404),
    ],
)
def test_what_leads_nowhere_is_told_in_json(stubs: "Stubs", method: str, path: str, status: int) -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        async with session.request(method, path, data=b"{}") as response:
            assert response.status == status
            assert [*await response.json()] == ["error"]
            assert ("Allow" in response.headers) == (status == 405)

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": AFFINE}, test)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_body_that_cannot_be_unpacked_is_the_clients_fault(stubs: "Stubs", encoding: str) -> None:
    async def test(session: aiohttp.ClientSession, _: Engine) -> None:
        status, answer = await _infer(session, b"not packed", {"Content-Encoding": encoding})
        assert status == (415 if encoding == "br" else 400)
        assert [*answer] == ["error"]

    _serve(stubs, SeldonUnit("a", "MODEL"), {"a": AFFINE}, test)
