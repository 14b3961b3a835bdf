"""Nodes that ask other servers: what is sent for arrays, what is made of answers, and what of failures."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import numpy as np
import pytest
from graphc_components.datatypes import Array, bytes_array
from graphc_components.servers import SERVERS
from graphc_runtimes.adapters.server import load_server
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.choose import Call
from graphc_runtimes.contracts import NoBooks, NoCounts
from graphc_runtimes.errors import LoadError, RunError, ServerFaultError
from graphc_runtimes.execute import Program, Runner
from graphc_runtimes.region import Declared, Read, Region, RegionOutput, ServerNode, TensorSpec, WholeGraph

Json = Any
X: Final = np.array([[1.5, 2], [3, 4]], np.float32)
TEXTS: Final = bytes_array([b"one", b"two"], (2,))


@dataclass
class Told:
    """What a server was asked, and what it answers: status, headers and body, or what it does instead."""

    answer: tuple[int, Mapping[str, str], bytes] = (200, {}, b"{}")
    act: Callable[[socket.socket], None] | None = None
    paths: list[str] = field(default_factory=list[str])
    headers: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])
    bodies: list[bytes] = field(default_factory=list[bytes])
    answers: Callable[[bytes], bytes] | None = None
    url: str = ""
    connections: int = 0

    def say(self, value: Json, status: int = 200) -> None:
        self.answer = (status, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def asked(self) -> Json:
        return json.loads(self.bodies[-1])


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def setup(self) -> None:
            super().setup()
            told.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.paths.append(self.path)
            told.headers.append({name.lower(): value for name, value in self.headers.items()})
            told.bodies.append(body)
            if told.act is not None:
                told.act(self.connection)
                self.close_connection = True
                return
            status, headers, answer = told.answer
            answer = answer if told.answers is None else told.answers(body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            # A client that gives up is what some tests are about.
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


def node(kind: str, url: str, out: Mapping[str, Declared], **more: Any) -> ServerNode:
    defaults = {each.name: each.default for each in SERVERS[kind].parameters if each.default is not None}
    parameters = defaults | more.pop("parameters", {})
    return ServerNode(
        name="score", kind="server", server=kind, at="score", url=url, model=more.pop("model", "m"),
        inputs={"x": Read("x")},
        outputs={name: f"score.{name}" for name in out}, declares=out, parameters=parameters, **more,
    )  # fmt: skip


def load(kind: str, told: Told, out: Mapping[str, Declared] | None = None, **more: Any) -> Runner:
    return load_server(node(kind, told.url, out or {"y": Declared("FP32", ("batch", 1))}, **more))


def same(found: Array, *rows: Any, dtype: str = "float32") -> None:
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, np.array(rows, np.dtype(dtype)))


# --- V2 ----------------------------------------------------------------------------------------------


def test_a_v2_server_is_asked_for_the_declared_outputs(told: Told) -> None:
    told.say({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [5, 6]}]})
    same(load("v2", told, version="2")({"x": X})["y"], [5], [6])
    assert told.paths == ["/v2/models/m/versions/2/infer"]
    assert told.asked() == {
        "outputs": [{"name": "y"}],
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1.5, 2.0, 3.0, 4.0]}],
    }


def test_triton_takes_and_gives_raw_tensors(told: Told) -> None:
    header = json.dumps(
        {
            "outputs": [
                {"name": "y", "datatype": "FP32", "shape": [2, 1], "parameters": {"binary_data_size": 8}},
                {"name": "t", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 7}},
            ]
        }
    ).encode()
    body = header + struct.pack("<ff", 5, 6) + struct.pack("<I", 3) + b"\xff\x00a"
    told.answer = (200, {"Inference-Header-Content-Length": str(len(header))}, body)
    out = {"y": Declared("FP32", ("batch", 1)), "t": Declared("BYTES", (1,))}
    found = load("triton", told, out, model="a b")({"x": X, "s": TEXTS})
    same(found["y"], [5], [6])
    assert found["t"].tolist() == [b"\xff\x00a"]
    assert told.paths == ["/v2/models/a%20b/infer"]
    length = int(told.headers[0]["inference-header-content-length"])
    asked = json.loads(told.bodies[0][:length])
    assert asked["parameters"] == {"binary_data_output": True}
    assert all(each["parameters"] == {"binary_data": True} for each in asked["outputs"])
    assert [each["parameters"]["binary_data_size"] for each in asked["inputs"]] == [16, 14]
    assert told.bodies[0][length:] == X.tobytes() + b"\x03\0\0\0one\x03\0\0\0two"


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "UINT64", "INT64", "FP16", "FP64"])
@pytest.mark.parametrize("tensors", ["raw", "json"])
def test_v2_carries_every_datatype_whole(told: Told, datatype: str, tensors: str) -> None:
    dtype = {"BOOL": "bool", "FP16": "float16", "FP64": "float64"}.get(datatype, datatype.lower())
    array = np.array([[0, 1], [1, 0]], dtype)
    if datatype in {"INT64", "UINT64"}:
        array[0, 0] = np.iinfo(dtype).max
    output: dict[str, Json] = {"name": "y", "shape": [2, 2], "datatype": datatype}
    if tensors == "raw":
        header = json.dumps(
            {"outputs": [output | {"parameters": {"binary_data_size": array.nbytes}}]}
        ).encode()
        told.answer = (200, {"Inference-Header-Content-Length": str(len(header))}, b"")
        told.answers = lambda body: header + body[int(told.headers[-1]["inference-header-content-length"]) :]
    else:
        told.answers = lambda body: json.dumps(
            {"outputs": [output | {"data": json.loads(body)["inputs"][0]["data"]}]}
        ).encode()
    run = load("v2", told, {"y": Declared(datatype, ("batch", 2))}, parameters={"tensors": tensors})
    found = run({"x": array})["y"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


# --- Other protocols ---------------------------------------------------------------------------------


def test_tensorflow_serving_is_asked_by_columns(told: Told) -> None:
    told.say({"outputs": {"y": [[5.5], [6]], "label": ["a", {"b64": "/w=="}]}})
    out = {"y": Declared("FP32", ("batch", 1)), "label": Declared("BYTES", ("batch",))}
    found = load("tensorflow", told, out, parameters={"label": "stable"})(
        {"x": X, "s": bytes_array([b"\xff", b"b"], (2,))}
    )
    same(found["y"], [5.5], [6])
    assert found["label"].tolist() == [b"a", b"\xff"]
    assert told.paths == ["/v1/models/m/labels/stable:predict"]
    assert told.asked() == {
        "signature_name": "serving_default",
        "inputs": {"x": [[1.5, 2.0], [3.0, 4.0]], "s": [{"b64": "/w=="}, "b"]},
    }


def test_not_a_number_is_read_where_servers_write_it(told: Told) -> None:
    told.answer = (200, {}, b'{"outputs": [[NaN], [-Infinity]]}')
    same(load("tensorflow", told)({"x": X})["y"], [np.nan], [-np.inf])


def test_a_signature_of_one_output_answers_without_its_name(told: Told) -> None:
    told.say({"outputs": [[5], [6]]})
    same(load("tensorflow", told, version="3")({"x": X})["y"], [5], [6])
    assert told.paths == ["/v1/models/m/versions/3:predict"]


def test_torchserve_has_three_envelopes(told: Told) -> None:
    told.say({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [5, 6]}]})
    same(load("torchserve", told)({"x": X})["y"], [5], [6])
    # As TorchServe itself writes it: by the input's name, in numpy's type, and flat.
    told.say({"outputs": [{"name": "x", "datatype": "FP64", "shape": [4], "data": [5, 6, 7, 8]}]})
    same(load("torchserve", told, {"y": Declared("FP32", ("batch", 2))})({"x": X})["y"], [5, 6], [7, 8])
    same(load("torchserve", told, {"y": Declared("FP32", (4,))})({"x": X})["y"], 5, 6, 7, 8)
    same(load("torchserve", told, {"y": Declared("FP32", ("batch", 3))})({"x": X})["y"], 5, 6, 7, 8)
    same(load("torchserve", told, {"y": Declared("FP32", (0, "n"))})({"x": X})["y"], 5, 6, 7, 8)
    told.say({"predictions": [[5], [6]]})
    instances = load("torchserve", told, version="1.0", parameters={"envelope": "instances"})
    same(instances({"x": X})["y"], [5], [6])
    assert told.asked() == {"instances": [[1.5, 2.0], [3.0, 4.0]]}
    same(instances({"x": X, "s": TEXTS})["y"], [5], [6])
    assert told.asked() == {"instances": [{"x": [1.5, 2.0], "s": "one"}, {"x": [3.0, 4.0], "s": "two"}]}
    told.answers = lambda body: json.dumps({"y": [len(body)]}).encode()
    bodies = load("torchserve", told, parameters={"envelope": "body"})
    same(bodies({"x": bytes_array([b"a", b"bcd"], (2,))})["y"], [1], [3])
    assert told.paths == [*["/predictions/m"] * 5, *["/predictions/m/1.0"] * 2, *["/predictions/m"] * 2]


def test_bentoml_is_asked_by_arguments(told: Told) -> None:
    told.say([[5], [6]])
    same(load("bentoml", told, parameters={"api": "classify"})({"x": X})["y"], [5], [6])
    assert told.paths == ["/classify"]
    assert told.asked() == {"x": [[1.5, 2.0], [3.0, 4.0]]}
    told.say({"y": [[7], [8]], "more": 1})
    same(load("bentoml", told)({"x": X})["y"], [7], [8])
    told.answer = (200, {"Content-Type": "text/plain; charset=utf-8"}, b"[7]")
    assert load("bentoml", told, {"y": Declared("BYTES", (1,))})({"x": X})["y"].tolist() == [b"[7]"]
    told.answer = (200, {"Content-Type": "text/plain"}, b"\xff")
    with pytest.raises(ServerFaultError, match=r"\(BentoML\) answered with a text that is not UTF-8"):
        load("bentoml", told, {"y": Declared("BYTES", (1,))})({"x": X})


def test_seldons_wrapper_is_asked_in_its_own_protocol(told: Told) -> None:
    told.say({"data": {"names": ["t:0"], "ndarray": [[5], [6]]}, "meta": {}})
    same(load("seldon", told)({"x": X})["y"], [5], [6])
    assert told.paths == ["/predict"]
    assert told.asked() == {"data": {"names": [], "ndarray": [[1.5, 2.0], [3.0, 4.0]]}}
    told.say({"data": {"tensor": {"shape": [2, 1], "values": [5, 6]}}})
    flat = load("seldon", told, parameters={"tensors": "tensor", "method": "transform-input"})
    same(flat({"x": X})["y"], [5], [6])
    assert told.paths[-1] == "/transform-input"
    assert told.asked()["data"]["tensor"] == {"shape": [2, 2], "values": [1.5, 2.0, 3.0, 4.0]}
    told.say({"strData": "fine"})
    found = load("seldon", told, {"y": Declared("BYTES", (1,))})({"x": X})
    assert found["y"].tolist() == [b"fine"]


def test_seldons_wrapper_aggregates_messages_and_is_told_the_names_of_columns(told: Told) -> None:
    told.say({"data": {"ndarray": [[5], [6]]}})
    joined = load("seldon", told, parameters={"method": "aggregate", "names": ["a", "b"]})
    same(joined({"z": X, "x": X[:1]})["y"], [5], [6])
    assert told.paths == ["/aggregate"]
    assert told.asked() == {
        "seldonMessages": [
            {"data": {"names": ["a", "b"], "ndarray": [[1.5, 2.0], [3.0, 4.0]]}},
            {"data": {"names": ["a", "b"], "ndarray": [[1.5, 2.0]]}},
        ]
    }


def test_openai_answers_a_text_a_row_in_the_order_of_the_rows(told: Told) -> None:
    def answer(body: bytes) -> bytes:
        text = json.loads(body)["messages"][-1]["content"]
        return json.dumps({"choices": [{"message": {"role": "assistant", "content": text.upper()}}]}).encode()

    told.answers = answer
    out = {"answer": Declared("BYTES", ("batch",))}
    run = load("openai", told, out, parameters={"system": "Shout.", "max_tokens": 5, "temperature": 0})
    texts = bytes_array([f"t{index}".encode() for index in range(20)], (20,))
    assert run({"text": texts})["answer"].tolist() == [f"T{index}".encode() for index in range(20)]
    assert set(told.paths) == {"/chat/completions"}
    asked = next(each for each in map(json.loads, told.bodies) if each["messages"][1]["content"] == "t3")
    assert asked == {
        "model": "m", "max_tokens": 5, "temperature": 0,
        "messages": [{"role": "system", "content": "Shout."}, {"role": "user", "content": "t3"}],
    }  # fmt: skip


def test_openai_completes_and_embeds(told: Told) -> None:
    told.say({"choices": [{"text": "more"}]})
    completions = load(
        "openai", told, {"answer": Declared("BYTES", ("batch",))}, parameters={"task": "completions"}
    )
    assert completions({"text": TEXTS})["answer"].tolist() == [b"more", b"more"]
    told.say({"data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2]}]})
    embeddings = load(
        "openai", told, {"v": Declared("FP32", ("batch", 2))}, parameters={"task": "embeddings"}
    )
    same(embeddings({"text": TEXTS})["v"], [1, 2], [3, 4])
    assert told.asked() == {"model": "m", "encoding_format": "float", "input": ["one", "two"]}


# --- What answers are not ----------------------------------------------------------------------------


def v2_output(name: str, datatype: str, shape: str, data: str) -> bytes:
    tensor = f'{{"name": {name}, "datatype": "{datatype}", "shape": {shape}, "data": {data}}}'
    return f'{{"outputs": [{tensor}]}}'.encode()


WRONG: Final = [
    ("v2", b"", "answered with no V2 answer: the body is empty, where JSON should be"),
    ("v2", b"{}", "answered with no V2 answer: a V2 answer has a list of `outputs`"),
    ("v2", b'{"outputs": []}', "gave no output `y`; it gave none"),
    ("v2", v2_output('"z"', "FP32", "[1]", "[1]"), "gave no output `y`; it gave `z`"),
    ("v2", v2_output('"y"', "FP32", "[2, 1]", "[1]"), "gave an output `y` that"),
    ("v2", v2_output('"y"', "FP32", "[1e9, 1e9]", "[1]"), "gave an output `y` that has 1 elements"),
    ("v2", v2_output('"y"', "FP32", "[1]", '["a"]'), "gave an output `y` that holds"),
    ("tensorflow", b"<html>", "answered with something that is not JSON"),
    ("tensorflow", b"[]", "answered with JSON that is no object"),
    ("tensorflow", b'{"predictions": [1]}', "answered without `outputs`"),
    ("tensorflow", b'{"outputs": null}', "gave an output `y` that is a null"),
    ("bentoml", b"null", "gave an output `y` that is a null"),
    ("tensorflow", b'{"outputs": {"z": 1}}', "gave no output `y`; it gave `z`"),
    ("tensorflow", b'{"outputs": {"y": [[1], [2, 3]]}}', "gave an output `y` that has rows that differ in length"),
    ("tensorflow", b'{"outputs": {"y": [[1], [1e39]]}}', "gave an output `y` that holds a number that is out of range"),
    ("tensorflow", b'{"outputs": {"y": ' + b"[" * 40 + b"1" + b"]" * 40 + b"}}", "gave an output `y` that"),
    ("bentoml", b'{"error": 1}', "gave an output `y` that holds"),
    ("seldon", b"{}", "answered without `data`"),
    ("seldon", b'{"data": {}}', "answered with `data` that is neither"),
    ("seldon", b'{"data": {"tensor": {"shape": [99999999999], "values": [1]}}}', "answered with a `tensor` whose"),
    ("seldon", b'{"data": {"tensor": {"shape": [-1], "values": [1]}}}', "answered with a `tensor` whose"),
    ("torchserve", b'{"outputs": 1}', "answered with no V2 answer"),
    ("torchserve", b'{"outputs": [1]}', "answered with no V2 answer"),
    ("torchserve", b'{"outputs": []}', "gave 0 outputs, and 1 are declared"),
    ("torchserve", b'{"outputs": [{"name": "y"}]}', "gave an output `y` that is a null"),
    ("torchserve", b'{"outputs": [{"data": [[1], [2, 3]]}]}', "gave an output `y` that has rows that differ in length"),
    ("torchserve", b'{"outputs": [{"data": [1e39]}]}', "gave an output `y` that holds a number that is out of range"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "words"), WRONG)
def test_an_answer_that_is_none_is_the_servers_fault(told: Told, kind: str, body: bytes, words: str) -> None:
    told.answer = (200, {}, body)
    with pytest.raises(ServerFaultError) as caught:
        load(kind, told)({"x": X})
    assert words in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("task", "body"),
    [
        ("chat", b'{"choices": []}'),
        ("chat", b'{"choices": [{"message": {"content": null}}]}'),
        ("completions", b'{"choices": [1]}'),
        ("embeddings", b'{"data": []}'),
        ("embeddings", b'{"data": [{"index": 7, "embedding": [1]}, {"embedding": [1]}]}'),
        ("embeddings", b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}'),
    ],
)
def test_what_openai_answers_is_looked_at(told: Told, task: str, body: bytes) -> None:
    told.answer = (200, {}, body)
    run = load("openai", told, {"y": Declared("FP32", ("batch", 1))}, parameters={"task": task})
    with pytest.raises(ServerFaultError):
        run({"text": TEXTS})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "no such model"}', "answered 404: no such model"),
        (b'{"error": {"message": "too\\nlong", "type": "x"}}', "answered 404: too long"),
        (b'{"detail": [{"msg": "m", "message": "field required"}]}', "answered 404: field required"),
        (b'{"status": {"reason": "INTERNAL", "info": "class failed"}}', "answered 404: class failed"),
        (b'{"error": "1 error", "detail": [{"loc": ["x", 0], "msg": "no"}]}', "answered 404: 1 error: no"),
        (b'{"error": "1 error", "detail": [{"loc": ["x"], "msg": "no"}]}', "answered 404: 1 error: x: no"),
        (b'{"detail": [{"loc": [], "msg": "no"}]}', "answered 404: no"),
        (b"Traceback (most recent call last):\n  File x\nValueError: no\n", "answered 404: ValueError: no"),
        (b"<html><body>secret page</body></html>", "answered 404"),
        (b"plain words\nsecond line", "answered 404: plain words"),
        (b"", "answered 404"),
        (b'{"error": "' + b"a" * 100_000 + b'"}', "answered 404: aaa"),
    ],
)
def test_the_servers_own_words_are_told(told: Told, body: bytes, words: str) -> None:
    told.answer = (404, {}, body)
    with pytest.raises(ServerFaultError) as caught:
        load("triton", told)({"x": X})
    said = str(caught.value)
    assert said.startswith("(NVIDIA Triton) ")
    assert caught.value.logged == "(NVIDIA Triton) answered 404"
    assert words in said
    assert "secret" not in said
    assert len(said) < 700
    assert said.isprintable()


def close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"\x00\x01 no http at all\r\n\r\n")


def cut(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("act", [close, garbage, cut])
def test_a_server_that_breaks_off_is_told_and_the_next_request_served(
    told: Told, act: Callable[[socket.socket], None]
) -> None:
    told.act = act
    run = load("v2", told)
    with pytest.raises(ServerFaultError, match=r"\(A V2 server\) "):
        run({"x": X})
    told.act = None
    told.say({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [5, 6]}]})
    same(run({"x": X})["y"], [5], [6])


def test_a_server_that_hangs_or_drips_is_given_up(told: Told) -> None:
    ended = threading.Event()

    def hang(_: socket.socket) -> None:
        ended.wait(20)

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not ended.wait(0.02):
            connection.sendall(b" ")

    for act in (hang, drip):
        told.act = act
        with pytest.raises(ServerFaultError, match="in time"):
            load("v2", told, timeout_ms=100)({"x": X})
    ended.set()


def test_an_answer_without_end_is_not_read_to_it(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_MAX_BODY_BYTES", "1000")
    told.answer = (200, {}, b" " * 100_000)
    with pytest.raises(ServerFaultError, match="answered with more than 1000 bytes"):
        load("v2", told)({"x": X})


def test_no_server_and_no_host_are_told_without_the_address(told: Told) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told.url = f"http://127.0.0.1:{port}"
    with pytest.raises(ServerFaultError, match="refuses connections") as caught:
        load("v2", told)({"x": X})
    assert str(port) not in str(caught.value)


def test_no_redirect_is_followed(told: Told) -> None:
    told.answer = (302, {"Location": told.url + "/elsewhere"}, b"")
    with pytest.raises(ServerFaultError, match="answered 302"):
        load("v2", told, token=None)({"x": X})
    assert len(told.paths) == 1


# --- Connections, tokens and places ------------------------------------------------------------------


def test_a_connection_is_kept(told: Told) -> None:
    told.say({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [5, 6]}]})
    run = load("v2", told)
    for _ in range(5):
        run({"x": X})
    assert told.connections == 1


def test_the_token_is_sent_and_has_to_be_there(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        LoadError, match="`GRAPHC_TOKEN_SCORE`, which holds the token for its server, is not set"
    ):
        load("v2", told, token="GRAPHC_TOKEN_SCORE")
    monkeypatch.setenv("GRAPHC_TOKEN_SCORE", "to\r\nken")
    with pytest.raises(LoadError, match="no token of HTTP") as caught:
        load("v2", told, token="GRAPHC_TOKEN_SCORE")
    assert "ken" not in str(caught.value).replace("token", "")
    monkeypatch.setenv("GRAPHC_TOKEN_SCORE", "s3cret\n")
    told.say({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [5, 6]}]})
    load("v2", told, token="GRAPHC_TOKEN_SCORE")({"x": X})
    assert told.headers[0]["authorization"] == "Bearer s3cret"


def test_a_run_on_one_machine_has_the_server_elsewhere(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.say({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [5, 6]}]})
    monkeypatch.setenv("GRAPHC_AT_MY_SERVER", told.url + "/below")
    own = node("v2", "http://nowhere.invalid", {"y": Declared("FP32", ("batch", 1))})
    same(load_server(replace(own, at="my-server"))({"x": X})["y"], [5], [6])
    assert told.paths == ["/below/v2/models/m/infer"]


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("tensorflow", {"x": np.array([np.nan], np.float32)}),
        ("seldon", {"x": X, "z": X}),
        ("openai", {"text": X}),
        ("openai", {"text": bytes_array([b"\xff"], (1,))}),
        ("v2", {"x": np.array([np.inf], np.float32)}),
    ],
)
def test_what_a_protocol_cannot_ask_is_not_asked(told: Told, kind: str, inputs: Mapping[str, Array]) -> None:
    with pytest.raises(ArrayError, match="cannot ask its server"):
        load(kind, told)(inputs)
    assert told.paths == []


def test_every_kind_has_a_dialect(told: Told) -> None:
    for kind in SERVERS:
        assert callable(load(kind, told))
    with pytest.raises(LoadError, match="`other` is not a kind of server"):
        load_server(replace(node("v2", told.url, {"y": Declared("FP32", (1,))}), server="other"))


def test_a_failure_is_counted_logged_without_the_servers_words_and_told(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.say({"error": "bad value 4711"}, 400)
    asking = node("v2", told.url, {"y": Declared("FP32", ("batch", 1))})
    region = Region(
        graphc=1, graph=WholeGraph("g", (), ()), unit="u", nodes=(asking,),
        takes=(TensorSpec("x", "FP32", ("batch", 2)),),
        answers=(RegionOutput("y", "score.y", "FP32", ("batch", 1)),), wire="plain",
    )  # fmt: skip
    books = Failures()
    program = Program(region, {"score": load_server(asking)}, books)
    with pytest.raises(
        RunError, match=r"node `score`: its server \(A V2 server\) answered 400: bad value 4711"
    ):
        program.run({"x": X}, Call({}, {}))
    assert books.failed == 1
    assert "node `score`: its server (A V2 server) answered 400" in caplog.text
    assert "4711" not in caplog.text


class Failures(NoCounts, NoBooks):
    """Counts tries that failed."""

    failed = 0

    def open(self, _node: str, /) -> "Failures":
        return self

    def fail(self) -> None:
        self.failed += 1
