"""The data plane over real sockets, without MLServer: what a connection may do, and what is answered from bytes."""

import base64
import gc
import gzip
import json
import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.desk import Pace
from graphc_runtimes.errors import RequestError
from graphc_runtimes.execute import Program
from graphc_runtimes.lane import LONGEST
from graphc_runtimes.numerals import LEAST
from graphc_runtimes.protocol import HttpProtocol
from graphc_runtimes.region import Region
from plane_sockets import INFER, Running, ask_json, ask_raw, post

Json = dict[str, Any]
Build = Callable[..., Json]

Serve = Callable[..., Running]


# --- Batches -------------------------------------------------------------------------------------------


def test_requests_of_many_connections_are_answered_each_for_itself(serve: Serve, double: Json) -> None:
    running = serve(double | {"batch": {"max_size": 8}})
    clients = [running.connect() for _ in range(7)]
    told: dict[int, Json] = {4: {"tier": "gold"}, 5: {"tiers": ["gold"]}}
    for turn in range(40):
        rows = [[float(turn), float(number)] * (1 + (turn % 3) * (number % 2)) for number in range(7)]
        for number, (client, values) in enumerate(zip(clients, rows, strict=True)):
            # One goes the long way: parameters that are lists are looked at there.
            more: Json = {"parameters": told[number]} if number in told else {}
            client.send(post(ask_json(*values, id=f"{turn}-{number}", **more)))
        for number, (client, values) in enumerate(zip(clients, rows, strict=True)):
            answer = client.read()
            assert (answer.status, answer.headers["x-id"]) == (200, f"{turn}-{number}")
            output = {"name": "y", "shape": [len(values) // 2, 2], "datatype": "FP32", "data": values}
            assert answer.json == {
                "model_name": "graph",
                "id": f"{turn}-{number}",
                "parameters": told.get(number, {}),
                "outputs": [output],
            }
    assert running.meter.requests == [(INFER, 200)] * 280
    assert running.meter.inferences == [("graph", False)] * 280


def test_a_request_that_no_branch_is_for_is_refused_every_time(
    serve: Serve, build: Build, node: Build
) -> None:
    condition = {"name": "tier", "equals": ["gold"], "branches": 1}
    pick: Json = {"kind": "choice", "router": "parameter", "per": "request", "parameters": condition}
    mean: Json = {"kind": "component", "component": "mean", "parameters": {}}
    nodes = [node("pick", {}, {"choice": "pick.choice"}, **pick)]
    nodes += [node("m", {"0": "x", "1": "x"}, {"output": "m.output"}, **mean)]
    running = serve(build(nodes, takes=["x: FP32[batch, 2]"], answers={"m.output": "y: FP32[batch, 2]"}))
    client = running.connect()
    for _ in range(8):
        assert client.ask(ask_json(1.0, 2.0, parameters={"tier": "gold"})).status == 200
        answer = client.ask(ask_json(1.0, 2.0, parameters={"tier": "tin"}))
        assert (answer.status, "no branch is for this request" in answer.json["error"]) == (400, True)


def test_rows_that_disagree_are_refused_every_time(serve: Serve, build: Build, node: Build) -> None:
    sure = {"until": 3.0, "branches": 2}
    pick: Json = {"kind": "choice", "router": "confidence", "per": "request", "parameters": sure}
    mean: Json = {"kind": "component", "component": "mean", "parameters": {}}
    nodes = [node("pick", {"value": "x"}, {"choice": "pick.choice"}, **pick)]
    nodes += [node("m", {"0": "x", "1": "x"}, {"output": "m.output"}, **mean)]
    running = serve(build(nodes, takes=["x: FP32[batch, 2]"], answers={"m.output": "y: FP32[batch, 2]"}))
    client = running.connect()
    for _ in range(8):
        assert client.ask(ask_json(1.0, 2.0, 0.0, 1.0)).status == 200
        answer = client.ask(ask_json(1.0, 2.0, 3.0, 4.0))
        assert (answer.status, "rows disagree" in answer.json["error"]) == (400, True)


def test_an_infinite_answer_fails_its_own_request_only(serve: Serve, build: Build, node: Build) -> None:
    mean: Json = {"kind": "component", "component": "mean", "parameters": {}}
    nodes = [node("m", {"0": "x", "1": "x"}, {"output": "m.output"}, **mean)]
    region = build(nodes, takes=["x: FP64[batch, 2]"], answers={"m.output": "y: FP64[batch, 2]"})
    running = serve(region | {"batch": {"max_size": 8}})
    clients = [running.connect() for _ in range(3)]
    for _ in range(20):
        for client, value in zip(clients, (1.0, 1.7e308, 2.0), strict=True):
            client.send(post(ask_json(value, value).replace(b"FP32", b"FP64")))
        one, bad, two = (client.read() for client in clients)
        assert [each.json["outputs"][0]["data"] for each in (one, two)] == [[1, 1], [2, 2]]
        assert bad.status == 500
        assert bad.json == {
            "error": "unit `unit`: tensor `y` holds NaN or Infinity, which JSON cannot carry",
        }


def test_clients_that_go_leave_their_place_to_others(serve: Serve, slow: Json) -> None:
    running = serve(slow | {"batch": {"max_size": 8}}, threads=1, queue=1)
    holding = running.connect()
    holding.send(post(ask_json(77, 77)))
    time.sleep(0.2)
    gone = running.connect()
    gone.send(post(ask_json(1, 2)))
    time.sleep(0.1)
    assert running.connect().ask(ask_json(1, 2)).status == 503
    gone.close()
    assert holding.read().status == 200
    for _ in range(4):
        assert running.connect().ask(ask_json(1, 2)).status == 200
    assert [status for _, status in running.meter.requests] == [503, 200, 200, 200, 200, 200]


def test_middling_bodies_are_read_as_small_ones(serve: Serve, double: Json) -> None:
    values = np.random.default_rng(0).random(5000, np.float32).astype(float).tolist()
    client = serve(double).connect()
    for _ in range(3):
        body = ask_json(*values, id="7")
        assert len(body) > LEAST
        found = client.ask(body).json
        assert (found["id"], found["outputs"][0]["data"]) == ("7", values)
        few = ask_json(*values[:900], id="8")
        assert LEAST < len(few) < LONGEST
        assert client.ask(few).json["outputs"][0]["data"] == values[:900]
        missing = few.replace(b'"name": "x"', b'"name": "z"')
        assert client.ask(missing).json == {"error": "unit `unit`: the graph has no input `z`"}


# --- Answers -------------------------------------------------------------------------------------------


def test_an_answer_has_what_a_request_brought(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    for _ in range(5):
        answer = client.ask(ask_json(1, 2, 3, 4, id="7", parameters={"tier": "gold"}))
        assert (answer.status, answer.headers["content-type"], answer.headers["x-id"]) == (
            200,
            "application/json",
            "7",
        )
        assert answer.json == {
            "model_name": "graph",
            "id": "7",
            "parameters": {"tier": "gold"},
            "outputs": [{"name": "y", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}],
        }


def test_requests_without_an_id_get_different_ones(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    found = {client.ask(ask_json(1, 2)).json["id"] for _ in range(20)}
    assert len(found) == 20
    assert {len(each) for each in found} == {36}


@pytest.mark.parametrize("count", [2, 400])
def test_numbers_are_written_to_the_last_digit(serve: Serve, double: Json, count: int) -> None:
    values = np.random.default_rng(0).random(count, np.float32)
    client = serve(double).connect()
    data = client.ask(ask_json(*values.astype(float).tolist())).json["outputs"][0]["data"]
    assert data == values.astype(float).tolist()


def test_what_is_no_v2_request_is_refused_with_the_reason(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    for body, reason in (
        (b"{", "the body is not JSON: it ends too early"),
        (b"[]", "the body is a list, where an object should be"),
        (b'{"inputs":{}}', "`inputs` is an object, where a list should be"),
        (b'{"inputs":[{"name":1}]}', "`inputs[0].name` is a number, where a text should be"),
        (b"", "the body is empty, where JSON should be"),
        (ask_json(1, 2, id=7), "`id` is a number, where a text should be"),
    ):
        answer = client.ask(body)
        assert (answer.status, answer.json) == (400, {"error": reason})
        assert client.ask(ask_json(1, 2)).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", INFER), ("HEAD", INFER), ("OPTIONS", INFER), ("POST", "/v2/models/other/infer")],
)
def test_other_methods_and_paths_are_left_to_mlserver(
    serve: Serve, double: Json, method: str, path: str
) -> None:
    client = serve(double).connect()
    if method == "HEAD":
        client.send(post(b"", path, method))
        assert client.read_head().status == 200
    else:
        client.send(post(b"abc", path, method))
        assert client.read().json == {"cold": method, "path": path, "body": "abc"}
    assert client.ask(ask_json(1, 2)).status == 200


def test_a_model_that_is_not_ready_says_so(serve: Serve, double: Json) -> None:
    running = serve(double)
    running.model.ready = False
    answer = running.connect().ask(ask_json(1, 2))
    assert (answer.status, answer.json) == (503, {"error": "model `graph` is not ready"})
    running.model.ready = True
    assert running.connect().ask(ask_json(1, 2)).status == 200


def test_requests_are_counted(serve: Serve, double: Json) -> None:
    running = serve(double)
    client = running.connect()
    client.ask(ask_json(1, 2))
    client.ask(ask_json(1, 2).replace(b'"x"', b'"z"'))
    assert running.meter.requests == [(INFER, 200), (INFER, 400)]
    assert running.meter.inferences == [("graph", False), ("graph", True)]


# --- Connections ---------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(serve: Serve, slow: Json) -> None:
    client = serve(slow).connect()
    cold_one = post(b"q", "/other")
    client.send(post(ask_json(77, 0)) + cold_one + post(ask_json(1, 2)) + cold_one + post(ask_json(3, 4)))
    answers = [client.read().json for _ in range(5)]
    assert [each.get("cold") or each["outputs"][0]["data"] for each in answers] == [
        [78.0, 1.0],
        "POST",
        [2.0, 3.0],
        "POST",
        [4.0, 5.0],
    ]


def test_many_pipelined_requests_are_answered(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    client.send(b"".join(post(ask_json(index, 0)) for index in range(300)))
    found = [client.read().json["outputs"][0]["data"][0] for _ in range(300)]
    assert found == list(range(300))


def test_a_body_may_come_in_chunks_and_in_bytes(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    body = ask_json(1, 2)
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[at : at + 1]) for at in range(len(body)))
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    client.send(chunks + b"0\r\n\r\n")
    assert client.read().json["outputs"][0]["data"] == [1.0, 2.0]
    for at in range(len(request := post(body))):
        client.send(request[at : at + 1])
    assert client.read().json["outputs"][0]["data"] == [1.0, 2.0]


def test_a_client_that_waits_is_told_to_continue(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    for path in (INFER, "/cold"):
        head, _, body = post(ask_json(1, 2), path, Expect="100-continue").partition(b"\r\n\r\n")
        client.send(head + b"\r\n\r\n")
        assert client.read_head().status == 100
        client.send(body)
        assert client.read().status == 200


def test_a_connection_is_closed_when_the_client_says_so(serve: Serve, double: Json) -> None:
    running = serve(double)
    client = running.connect()
    assert client.ask(ask_json(1, 2), Connection="close").headers["connection"] == "close"
    assert client.is_closed()
    client = running.connect()
    client.send(post(ask_json(1, 2)).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert client.read().status == 200
    assert client.is_closed()


def test_an_offer_of_http_2_is_passed_over(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    for _ in range(2):
        answer = client.ask(ask_json(1, 2), Connection="Upgrade, HTTP2-Settings", Upgrade="h2c")
        assert answer.status == 200
    assert client.ask(ask_json(1, 2)).status == 200


def test_an_answer_of_unknown_length_is_chunked(serve: Serve, double: Json) -> None:
    answer = serve(double).connect().ask(b"a", "/chunked")
    assert (answer.headers["transfer-encoding"], answer.json["body"]) == ("chunked", "a")


def test_a_large_body_is_read_whole(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    rows = np.arange(200_000, dtype=np.float32).reshape(-1, 2)
    body = ask_json(*rows.ravel().tolist())
    for _ in range(2):
        assert client.ask(body).json["outputs"][0]["data"] == rows.ravel().tolist()
        assert client.ask(ask_json(1, 2)).json["outputs"][0]["data"] == [1.0, 2.0]
    assert client.ask(body, "/cold").json["body"] == body.decode()


@pytest.mark.parametrize("text", ["\x00\x01\x02 what", "CONNECT a.b:80 HTTP/1.1\r\nHost: a.b:80"])
def test_what_is_no_request_to_a_server_is_refused(serve: Serve, double: Json, text: str) -> None:
    client = serve(double).connect()
    client.send(text.encode() + b"\r\n\r\n")
    assert client.read().status == 400
    assert client.is_closed()


# --- Limits --------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_refused_before_it_is_read(serve: Serve, double: Json) -> None:
    running = serve(double, limits={"max_body": 1000})
    client = running.connect()
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n".encode())
    answer = client.read()
    assert (answer.status, answer.json) == (413, {"error": "the body is larger than 1000 bytes"})
    assert client.is_closed()
    client = running.connect()
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    client.send(b"3e9\r\n" + b" " * 1001)
    assert client.read().status == 413


@pytest.mark.parametrize("is_one", [True, False])
def test_a_head_that_is_too_large_is_refused(serve: Serve, double: Json, is_one: bool) -> None:
    client = serve(double, limits={"max_head": 4096}).connect()
    lines = [f"x-{index}: {'y' * 100}" for index in range(100)] if not is_one else [f"x: {'y' * 10_000}"]
    client.send(f"POST {INFER} HTTP/1.1\r\nHost: x\r\n".encode())
    client.send("\r\n".join(lines).encode())
    time.sleep(0.2)
    client.send(b"z" * 5000)
    assert client.read().status == 431
    assert client.is_closed()


def test_a_client_that_sends_too_slowly_is_given_up(serve: Serve, double: Json) -> None:
    running = serve(double, limits={"patience_s": 1})
    head, body = running.connect(), running.connect()
    head.send(b"POST / HTTP")
    body.send(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1".encode())
    assert [head.read().status, body.read().status] == [408, 408]


def test_a_slow_request_blocks_no_other(serve: Serve, slow: Json) -> None:
    running = serve(slow)
    first, second = running.connect(), running.connect()
    for value in (1, 2, 3):
        assert second.ask(ask_json(value, 0)).json["outputs"][0]["data"] == [value + 1.0, 1.0]
    first.send(post(ask_json(77, 0)))
    time.sleep(0.1)
    start = time.monotonic()
    assert second.ask(b"", "/v2/health/live").status == 200
    assert second.ask(ask_json(1, 0)).status == 200
    assert time.monotonic() - start < 0.8
    assert first.read().status == 200


def test_too_much_waiting_is_refused_and_told_when_to_come_back(serve: Serve, slow: Json) -> None:
    running = serve(slow, threads=1, queue=1)
    clients = [running.connect() for _ in range(3)]
    for client in clients:
        client.send(post(ask_json(77, 0)))
        time.sleep(0.1)
    answer = clients[2].read()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json["error"].startswith("the unit has as many requests waiting as it takes")
    assert [client.read().status for client in clients[:2]] == [200, 200]
    assert clients[2].ask(ask_json(1, 0)).status == 200


def test_short_work_comes_to_be_done_on_the_event_loop_and_python_never(
    region: Callable[..., Region], node: Build
) -> None:
    pace = Pace(region())
    assert not pace.is_short(100)
    pace.note(100, 0.0001)
    assert pace.is_short(100)
    assert not pace.is_short(1000)
    for _ in range(50):
        pace.note(100, 1.0)
    assert not pace.is_short(100)
    python = Pace(region([node("p", {}, {}, kind="python", entry="post:to_label", path=None)]))
    python.note(100, 0.0001)
    assert not python.is_short(100)


# --- Raw tensors, and compression ----------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 3, 50_000])
@pytest.mark.parametrize("is_raw", [True, False])
def test_tensors_may_come_and_go_as_raw_bytes(serve: Serve, double: Json, rows: int, is_raw: bool) -> None:
    client = serve(double).connect()
    array = np.random.default_rng(0).random((rows, 2), np.float32)
    body, length = ask_raw(array, binary_data_output=is_raw)
    answer = client.ask(body, Inference_Header_Content_Length=length)
    assert answer.status == 200, answer.body
    if not is_raw:
        assert answer.json["outputs"][0]["data"] == array.astype(float).ravel().tolist()
        return
    head = int(answer.headers["inference-header-content-length"])
    assert answer.headers["content-type"] == "application/octet-stream"
    (output,) = json.loads(answer.body[:head])["outputs"]
    assert output == {
        "name": "y",
        "shape": [rows, 2],
        "datatype": "FP32",
        "parameters": {"binary_data_size": array.nbytes},
    }
    assert answer.body[head:] == array.tobytes()


def test_an_output_may_be_asked_for_as_raw_bytes(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    asked = [{"name": "y", "parameters": {"binary_data": True}}]
    answer = client.ask(ask_json(1, 2, outputs=asked))
    head = int(answer.headers["inference-header-content-length"])
    assert answer.body[head:] == np.array([1, 2], np.float32).tobytes()
    asked[0]["parameters"] = {"binary_data": False}
    answer = client.ask(ask_json(1, 2, outputs=asked, parameters={"binary_data_output": True}))
    assert answer.json["outputs"][0]["data"] == [1.0, 2.0]


def test_raw_bytes_carry_what_json_cannot(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    array = np.array([[np.nan, np.inf]], np.float32)
    body, length = ask_raw(array, binary_data_output=True)
    answer = client.ask(body, Inference_Header_Content_Length=length)
    assert answer.body.endswith(array.tobytes())
    body, length = ask_raw(array)
    answer = client.ask(body, Inference_Header_Content_Length=length)
    message = "unit `unit`: tensor `y` holds NaN or Infinity, which JSON cannot carry"
    assert (answer.status, answer.json) == (500, {"error": message})


@pytest.mark.parametrize(
    ("cut", "length", "message"),
    [
        (1, None, "tensor `x` says a `binary_data_size` that the body does not have"),
        (-4, None, "4 bytes of the body belong to no tensor"),
        (0, "3", "the body is not JSON: it ends too early"),
        (0, "x", "the header `inference-header-content-length` is not a length within the body"),
        (0, "99999", "the header `inference-header-content-length` is not a length within the body"),
    ],
)
def test_raw_bytes_that_do_not_fit_are_refused(
    serve: Serve, double: Json, cut: int, length: str | None, message: str
) -> None:
    body, true = ask_raw(np.ones((1, 2), np.float32))
    body = body[:-cut] if cut > 0 else body + b"\0" * -cut
    answer = serve(double).connect().ask(body, Inference_Header_Content_Length=length or true)
    assert (answer.status, answer.json) == (400, {"error": message})


def test_requests_may_be_compressed(serve: Serve, double: Json) -> None:
    client = serve(double).connect()
    body = ask_json(1, 2)
    for coding, packed in (
        ("gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("identity", body),
    ):
        assert client.ask(packed, Content_Encoding=coding).json["outputs"][0]["data"] == [1.0, 2.0]
    assert client.ask(body, Content_Encoding="gzip").json == {"error": "the body is not gzip"}
    assert client.ask(body, Content_Encoding="br").status == 400
    cut = client.ask(gzip.compress(body)[:-9], Content_Encoding="gzip")
    assert cut.json == {"error": "the compressed body is cut off"}


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("deflate, br", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("br", None),
        ("", None),
    ],
)
def test_answers_are_compressed_for_those_who_accept_it(
    serve: Serve, double: Json, accepted: str, coding: str | None
) -> None:
    client = serve(double, compresses=True).connect()
    values = [float(index) for index in range(500)]
    answer = client.ask(ask_json(*values), Accept_Encoding=accepted)
    assert answer.headers.get("content-encoding") == coding
    unpack: Mapping[str | None, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
        None: bytes,
    }
    assert json.loads(unpack[coding](answer.body))["outputs"][0]["data"] == values
    assert "content-encoding" not in client.ask(ask_json(1, 2), Accept_Encoding=accepted).headers


def test_answers_are_not_compressed_where_mlserver_was_told_not_to(serve: Serve, double: Json) -> None:
    values = [float(index) for index in range(500)]
    answer = serve(double).connect().ask(ask_json(*values), Accept_Encoding="gzip")
    assert "content-encoding" not in answer.headers


def test_units_are_aggregated_from_bytes(serve: Serve, build: Build, node: Build) -> None:
    mean: Json = {"kind": "component", "component": "mean", "parameters": {}}
    region = build(
        [node("m", {"0": "a.p", "1": "b.p"}, {"output": "m.output"}, **mean)],
        takes=["a.p: FP32[batch]", "b.p: FP32[batch]"],
        answers={"m.output": "m.output: FP32[batch]"},
        inputs=["x: FP32[batch]"],
        wire="base64",
    )
    client = serve(region).connect()
    tensors: Sequence[Json] = [
        {"name": name, "datatype": "FP32", "shape": [1], "data": [value]}
        for name, value in (("a.p", 1.0), ("b.p", 2.0))
    ]
    answer = client.ask(
        json.dumps([{"outputs": [each]} for each in tensors]).encode(), "/v2/models/graph/aggregate"
    )
    (output,) = answer.json["outputs"]
    assert base64.b64decode(output["data"][0]) == np.array([1.5], np.float32).tobytes()
    assert client.ask(b"[", "/v2/models/graph/aggregate").json == {
        "error": "the body is not JSON: it ends too early"
    }
    assert client.ask(json.dumps({"inputs": tensors}).encode(), "/v2/models/graph/route").json == {
        "error": "unit `unit` does not route"
    }


# --- The short way -------------------------------------------------------------------------------------


def _swap(body: bytes, **changes: object) -> bytes:
    message = json.loads(body)
    message["inputs"][0].update(changes)
    return json.dumps(message).encode()


PLAIN: Final = ask_json(1, 2.5, id="7")


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        ask_json(*range(400), id='a"b\u2028'),
        _swap(PLAIN, datatype="FP64"),
        _swap(PLAIN, shape=[2, 1]),
        _swap(PLAIN, shape=[True, 2]),
        _swap(PLAIN, shape=[-1, -2]),
        _swap(PLAIN, shape=[1, 2, 1]),
        _swap(PLAIN, data=[[1, 2]]),
        _swap(PLAIN, data=[True, 1]),
        _swap(PLAIN, data=[1e300, 1]),
        _swap(PLAIN, data=[None, 1]),
        _swap(PLAIN, data=["1", 1]),
        _swap(PLAIN, data=[], shape=[0, 2]),
        _swap(PLAIN, name="y"),
        _swap(PLAIN, parameters={"content_type": "np"}),
        ask_json(1, 2, id=None),
        ask_json(1, 2, id="7", outputs=[{"name": "y"}]),
        ask_json(1, 2, id="7", parameters={"binary_data_output": True}),
        ask_json(1, 2, id="7", other=1),
        json.dumps({"inputs": json.loads(PLAIN)["inputs"] * 2, "id": "7"}).encode(),
        b'{"inputs":[]}',
        b'{"id":"7"}',
        ask_json(1, 2, id="i" * 5000),
        ask_json(*range(8000), id="7"),
        _swap(ask_json(*range(8000), id="7"), shape=[4001, 2]),
        _swap(ask_json(*range(8000), id="7"), shape=[3999, 2]),
        _swap(ask_json(*range(8000), id="7"), shape=[0, 2]),
        _swap(ask_json(*range(8000), id="7"), shape=[4000, 2, 1]),
        _swap(ask_json(*range(8000), id="7"), datatype="FP64"),
        ask_json(*range(8000), id="7").replace(b" 7000,", b' "7000",'),
        ask_json(*range(8000), id="7").replace(b" 7000,", b" null,"),
        ask_json(*range(8000), id="7").replace(b" 7000,", b" 7e99,"),
        ask_json(*range(8000), id="7").replace(b" 7000,", b" 7000,,"),
        ask_json(*range(8000), id="7").replace(b" 7000,", b" [7000],"),
    ],
)
def test_the_short_way_answers_as_the_long_way_does(serve: Serve, double: Json, body: bytes) -> None:
    client = serve(double).connect()
    for _ in range(3):
        short = client.ask(body)
        # A body that may have to be unpacked goes the long way.
        long = client.ask(body, content_encoding="identity")
        if b'"id": null' in body:
            short.body, long.body = (_without_id(each.body) for each in (short, long))
        assert (short.status, short.body) == (long.status, long.body)


def _without_id(body: bytes) -> bytes:
    found = json.loads(body)
    assert len(found.pop("id")) == 36
    return json.dumps(found).encode()


def test_infinity_is_refused_on_the_short_way(serve: Serve, build: Build, node: Build) -> None:
    mean: Json = {"kind": "component", "component": "mean", "parameters": {}}
    nodes = [node("m", {"0": "x", "1": "x"}, {"output": "m.output"}, **mean)]
    region = build(nodes, takes=["x: FP64[batch, 2]"], answers={"m.output": "y: FP64[batch, 2]"})
    client = serve(region).connect()
    body = _swap(ask_json(1, 2, id="7"), datatype="FP64", data=[1.5e308, 1])
    answers = [client.ask(body), client.ask(body, content_encoding="identity")]
    assert [each.status for each in answers] == [500, 500]
    assert answers[0].body == answers[1].body
    assert b"Infinity" in answers[0].body


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the targets of the heads that are parsed from now on."""
    found: list[bytes] = []
    parse = HttpProtocol.on_url

    def note(self: HttpProtocol, url: bytes) -> None:
        found.append(url)
        parse(self, url)

    monkeypatch.setattr(HttpProtocol, "on_url", note)
    return found


def test_a_head_that_comes_again_is_not_parsed_again(serve: Serve, double: Json, heads: list[bytes]) -> None:
    client = serve(double).connect()
    for number in range(10):
        assert client.ask(ask_json(number, 2)).json["outputs"][0]["data"] == [number, 2.0]
    assert len(heads) == 1
    assert client.ask(ask_json(10, 2), accept="x").status == 200
    assert client.ask(ask_json(100, 2)).status == 200
    assert len(heads) == 3


def test_what_is_not_one_whole_request_is_parsed(serve: Serve, double: Json, heads: list[bytes]) -> None:
    running = serve(double)
    client = running.connect()
    whole = post(ask_json(1, 2))
    for _ in range(2):
        client.send(whole)
        assert client.read().status == 200
    for pieces in ([whole + whole], [whole[:-5], whole[-5:]], [whole[:20], whole[20:]], [whole + b"\r\n"]):
        for piece in pieces:
            client.send(piece)
            time.sleep(0.05)
        for _ in range(b"".join(pieces).count(b"POST")):
            assert client.read().json["outputs"][0]["data"] == [1.0, 2.0]
    client.send(whole)
    assert client.read().status == 200
    assert len(running.meter.requests) == 8


def test_a_known_head_asks_whether_the_model_is_ready(serve: Serve, double: Json) -> None:
    running = serve(double)
    client = running.connect()
    assert [client.ask(ask_json(1, 2)).status for _ in range(3)] == [200] * 3
    running.model.ready = False
    assert client.ask(ask_json(1, 2)).status == 503
    running.model.ready = True
    assert client.ask(ask_json(1, 2)).json["model_name"] == "graph"


# --- What nobody foresaw -------------------------------------------------------------------------------


class MuteError(Exception):
    """An exception whose own text is broken."""

    def __str__(self) -> str:
        raise ValueError("no text")


UNFORESEEN: Final = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    MemoryError(),
    MuteError(),
    StopIteration(),
]


@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", ["short", "long", "thread", "batch", "task"])
def test_whatever_is_raised_is_answered_with_an_id_and_the_connection_goes_on(
    serve: Serve,
    double: Json,
    slow: Json,
    way: str,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch = {"batch": {"max_size": 8}} if way in ("batch", "task") else {}
    running = serve((slow if way == "thread" else double) | batch)
    client = running.connect()
    more: Json = {"outputs": [{"name": "y"}]} if way in ("long", "task") else {}
    body = ask_json(1.0, 5767171.0, **more)
    # Until it is known how long they take.
    for _ in range(4):
        assert client.ask(body).status == 200

    def fail(*_: object) -> object:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Program, "run", fail)
        answer = client.ask(body)
    assert answer.status == 500
    identity = answer.json["error"].rpartition(", id ")[2]
    assert len(identity) == 16
    (line,) = (each.getMessage() for each in caplog.records if identity in each.getMessage())
    assert type(error).__name__ in line
    assert "5767171" not in caplog.text
    assert client.ask(body).status == 200


def test_what_fails_leaves_nothing_of_its_request_behind(serve: Serve, double: Json) -> None:
    running = serve(double | {"batch": {"max_size": 8}})
    client = running.connect()
    bad = json.dumps(
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}]}
    ).encode()
    for _ in range(4):
        assert client.ask(bad).status == 400
    gc.collect()
    gc.disable()
    try:
        for _ in range(16):
            assert client.ask(bad).status == 400
        left = [each for each in gc.get_objects() if isinstance(each, RequestError | ArrayError)]
    finally:
        gc.enable()
    assert len(left) <= 1


@pytest.mark.parametrize("way", ["short", "long", "batch", "task"])
def test_an_answer_names_the_nodes_that_something_stood_in_for(
    serve: Serve, slow: Json, tmp_path: Path, way: str
) -> None:
    (tmp_path / "slow" / "code.py").write_text("def wait(x):\n    return {'y': x} if x[0, 0] < 9 else None\n")
    default = {"y": {"value": 7, "datatype": "FP32", "shape": ["x", 2]}}
    slow["nodes"][0]["policy"] = {"on_error": "default", "default": default}
    batch = {"batch": {"max_size": 8}} if way in ("batch", "task") else {}
    client = serve(slow | batch).connect()
    more: Json = {"outputs": [{"name": "y"}]} if way in ("long", "task") else {}
    for _ in range(3):
        fine = client.ask(ask_json(1.0, 2.0, **more)).json
        assert (fine["outputs"][0]["data"], "graphc_fallbacks" in fine["parameters"]) == ([1, 2], False)
        failed = client.ask(ask_json(9.0, 2.0, **more, parameters={"tier": "gold"})).json
        assert failed["outputs"][0]["data"] == [7, 7]
        assert failed["parameters"] == {"tier": "gold", "graphc_fallbacks": ["p"]}


@pytest.mark.parametrize("way", ["short", "long", "named"])
@pytest.mark.parametrize("policy", [True, False])
def test_the_log_tells_of_a_failure_by_the_answers_id(
    serve: Serve,
    slow: Json,
    way: str,
    policy: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "slow" / "code.py").write_text("def wait(x):\n    raise ValueError(x.shape)\n")
    if policy:
        default = {"y": {"value": 7, "datatype": "FP32", "shape": ["x", 2]}}
        slow["nodes"][0]["policy"] = {"on_error": "default", "default": default}
    more: Json = {"outputs": [{"name": "y"}]} if way == "long" else {"id": "mine"} if way == "named" else {}
    answer = serve(slow).connect().ask(ask_json(1.0, 2.0, **more))
    said = [re.findall(r"\(request '(.*)'\)", each.getMessage()) for each in caplog.records]
    told = [identity for found in said for identity in found]
    assert len(told) == 1 + policy
    assert len({*told}) == 1
    assert answer.status == (200 if policy else 500)
    if policy:
        assert told[0] == answer.json["id"]
    if way == "named":
        assert told[0] == "mine"
