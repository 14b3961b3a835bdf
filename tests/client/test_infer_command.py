"""`graphc infer` against a server: both protocols, and a server that misbehaves."""

import asyncio
import base64
import csv
import io
import json
import threading
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from graphc.cli.infer_command import command
from graphc.client import rest
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.service import ServedGraph
from graphc.seldon.unit import Endpoint, SeldonUnit
from graphc.source.located import Plain

METADATA: dict[str, Plain] = {
    "name": "m",
    "platform": "test",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [],
}


class Stub:
    """A server that answers as it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: object = {}
        self.status = 200
        self.index: object = [{"name": "m", "state": "READY"}]
        self.metadata: object = METADATA
        self.delay = 0.0
        self.received: dict[str, object] = {}
        self.headers: dict[str, str] = {}
        self.is_packed = False

    async def infer(self, request: web.Request) -> web.Response:
        self.received = cast("dict[str, object]", await request.json())
        self.headers = dict(request.headers)
        await asyncio.sleep(self.delay)
        return self._write(self.answer, self.status)

    async def describe(self, request: web.Request) -> web.Response:
        if request.match_info["model"] != "m":
            return self._write({"error": "Model nope not found"}, 404)
        return self._write(self.metadata, 200)

    async def list_models(self, _: web.Request) -> web.Response:
        return self._write(self.index, 200)

    def _write(self, body: object, status: int) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        response = web.Response(text=text, status=status, content_type="application/json")
        if self.is_packed:
            response.enable_compression()
        return response


class Servers:
    """The stub and an engine in front of it, in a thread of their own."""

    def __init__(self) -> None:
        self.stub = Stub()
        self.port = self.engine_port = 0
        self.grpc_port: int | None = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._run(self._start())

    def close(self) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        app = web.Application()
        for prefix in ("", "/seldon/models/m"):
            app.router.add_post(prefix + "/v2/models/{model}/infer", self.stub.infer)
            app.router.add_get(prefix + "/v2/models/{model}", self.stub.describe)
        app.router.add_post("/v2/repository/index", self.stub.list_models)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])
        unit = SeldonUnit("m", "MODEL", endpoint=Endpoint("127.0.0.1", self.port))
        self._engine = Engine(unit, EngineOptions(grpc_port=0, graph=ServedGraph("m", METADATA)))
        await self._engine.start()
        self.engine_port, self.grpc_port = self._engine.http_port, self._engine.grpc_port

    async def _stop(self) -> None:
        await self._engine.stop()
        await self._runner.cleanup()


@pytest.fixture(scope="module")
def running() -> Generator[Servers]:
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture
def servers(running: Servers) -> Servers:
    running.stub.__init__()
    running.stub.answer = {
        "model_name": "m",
        "outputs": [
            {"name": "p", "shape": [2, 2], "datatype": "FP64", "data": [0.25, 0.75, 1.0, 1e-9]},
            {"name": "label", "shape": [2], "datatype": "BYTES", "data": ["good\x1b[2J", "bad"]},
        ],
    }
    return running


def call(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def http(servers: Servers) -> str:
    return f"http://127.0.0.1:{servers.port}"


def test_table(servers: Servers) -> None:
    result = call(f"{http(servers)}/v2/models/m/infer", "--input", "x=[[1, 2], [3, 4]]")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines() if line.strip()]
    assert lines[0] == ["p[0]", "p[1]", "label"]
    assert lines[2:] == [["0.25", "0.75", "good\ufffd[2J"], ["1", "1e-09", "bad"]]
    assert servers.stub.received == {
        "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}]
    }


def test_csv_has_a_row_for_each_row(servers: Servers) -> None:
    result = call(f"{http(servers)}/v2/models/m", "--input", "[[1, 2], [3, 4]]", "--output", "csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.reader(io.StringIO(result.output)))
    assert rows == [["p[0]", "p[1]", "label"], ["0.25", "0.75", "good\x1b[2J"], ["1.0", "1e-09", "bad"]]


def output(name: str, datatype: str, shape: list[int], data: list[object]) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def test_csv_of_what_has_no_plain_cells(servers: Servers) -> None:
    servers.stub.answer = {
        "outputs": [
            output("deep", "INT64", [2, 1, 2], [1, 2, 3, 4]),
            output("score", "FP32", [2], [None, 0.5]),
            output("raw", "BYTES", [2], ["/w==", "YQ=="]) | {"parameters": {"content_type": "base64"}},
        ]
    }
    result = call(f"{http(servers)}/v2/models/m", "--input", "[[1, 2], [3, 4]]", "--output", "csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.reader(io.StringIO(result.output)))
    assert rows == [["deep", "score", "raw"], ["[[1, 2]]", "", "/w=="], ["[[3, 4]]", "0.5", "a"]]
    servers.stub.answer = {"outputs": [output("a", "INT64", [2], [1, 2]), output("b", "INT64", [1], [1])]}
    result = call(f"{http(servers)}/v2/models/m", "--input", "[[1, 2]]", "--output", "csv")
    assert result.exit_code == 1
    assert "different numbers of rows" in result.output


def test_a_gateways_prefix_is_kept(servers: Servers) -> None:
    target = f"{http(servers)}/seldon/models/m/v2/models/m"
    result = call(target, "--input", "[[1, 2]]", "--output", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == servers.stub.answer


def test_an_answer_that_unpacks_without_end_is_refused(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "MOST_BYTES", 1 << 20)
    servers.stub.answer, servers.stub.is_packed = " " * (2 << 20), True
    result = call(f"{http(servers)}/v2/models/m", "--input", "[[1, 2]]")
    assert result.exit_code == 1
    assert result.output == "Error: the answer has more than 1 MiB\n"


def test_missing_values_go_as_null_or_nan(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1.5,\n2,3\n")
    argument = f"x={tmp_path / 'x.csv'}"
    assert call(f"{http(servers)}/v2/models/m", "--input", argument).exit_code == 0
    assert servers.stub.received["inputs"] == [output("x", "FP32", [2, 2], [1.5, None, 2.0, 3.0])]
    assert call(f"grpc://127.0.0.1:{servers.grpc_port}/m", "--input", argument).exit_code == 0
    (sent,) = cast("list[dict[str, object]]", servers.stub.received["inputs"])
    assert sent["data"] == [1.5, None, 2.0, 3.0]


def test_json_parameters_and_headers(servers: Servers) -> None:
    result = call(
        *(f"{http(servers)}/v2/models/m", "--input", "x=[1, 2]", "--output", "json"),
        *("--parameter", "tier=gold", "--parameter", "n=3", "--header", "X-User=7", "--header", "x-b: c:d"),
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == servers.stub.answer
    assert servers.stub.received["parameters"] == {"tier": "gold", "n": 3}
    assert servers.stub.headers["X-User"] == "7"
    assert servers.stub.headers["x-b"] == "c:d"


def test_the_only_model_is_found_out(servers: Servers) -> None:
    assert call(http(servers), "--input", "x=[1, 2]").exit_code == 0
    servers.stub.index = [{"name": "m"}, {"name": "n"}]
    result = call(http(servers), "--input", "x=[1, 2]")
    assert result.exit_code == 1
    assert "does not serve exactly one model: `m`, `n`; name one with --model" in result.output
    assert call(http(servers), "--model", "m", "--input", "x=[1, 2]").exit_code == 0


def test_grpc_gives_the_same_answer_exactly(servers: Servers, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[0.1, 2]], "<f4"))
    result = call(
        *(f"grpc://127.0.0.1:{servers.grpc_port}/m", "--input", f"x={tmp_path / 'x.npy'}"),
        *("--output", "json", "--parameter", "tier=gold", "--header", "X-User=7"),
    )
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert [each["data"] for each in answer["outputs"]] == [[0.25, 0.75, 1.0, 1e-9], ["good\x1b[2J", "bad"]]
    inputs = cast("list[dict[str, object]]", servers.stub.received["inputs"])
    assert np.array(inputs[0]["data"], "<f4").tolist() == np.array([0.1, 2], "<f4").tolist()
    assert servers.stub.received["parameters"] == {"tier": "gold"}
    assert servers.stub.headers["x-user"] == "7"


def test_grpc_errors(servers: Servers) -> None:
    servers.stub.status, servers.stub.answer = 400, {"error": "`x` is too small"}
    result = call(f"127.0.0.1:{servers.grpc_port}/m", "--grpc", "--input", "x=[1, 2]")
    assert result.exit_code == 1
    assert "refused the request (INVALID_ARGUMENT): `x` is too small" in result.output
    result = call(f"grpc://127.0.0.1:{servers.grpc_port}/m", "--input", "x=[1, 2]")
    assert result.exit_code == 1
    assert "refused the request (INVALID_ARGUMENT): `x` is too small" in result.output
    result = call(f"grpc://127.0.0.1:{servers.grpc_port}", "--input", "x=[1, 2]")
    assert "names no model: add it, as in grpc://127.0.0.1:" in result.output
    result = call("grpc://127.0.0.1:1/m", "--input", "x=[1, 2]", "--timeout", "5")
    assert result.exit_code == 1
    assert result.output.startswith("Error: grpc://127.0.0.1:1 ")


BAD_ANSWERS: list[tuple[int, object, str]] = [
    (400, {"error": "rows\n disagree"}, "refused the request (status 400): rows disagree"),
    (500, {"status": {"code": 500, "info": "no route"}}, "refused the request (status 500): no route"),
    (503, "<html>busy</html>", "refused the request (status 503): <html>busy</html>"),
    (500, "", "refused the request (status 500): no reason given"),
    (200, "<html>", "the answer is not JSON: <html>"),
    (200, "[" * 100_000, "the answer is not JSON: [["),
    (200, [], "the answer is not V2: it has no list of outputs"),
    (200, {"outputs": [{}]}, "the answer is not V2: an output has no name"),
    (200, {"outputs": [{"name": "y"}]}, "output `y` has no datatype and shape"),
    (
        200,
        {"outputs": [{"name": "y", "datatype": "FP32", "shape": [3], "data": [1]}]},
        "output `y` of the answer has 1 values, which do not make its shape",
    ),
    (
        200,
        {"outputs": [{"name": "y", "datatype": "FP32", "shape": [-1], "data": [1]}]},
        "output `y` of the answer has 1 values, which do not make its shape",
    ),
    (
        200,
        {"outputs": [{"name": "y", "datatype": "FP33", "shape": [1], "data": [1]}]},
        "output `y` of the answer cannot be read: `FP33` is not a datatype of the V2 protocol",
    ),
    (
        200,
        {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": ["a"]}]},
        "output `y` of the answer cannot be read: a text is no FP32",
    ),
    (
        200,
        {"outputs": [{"name": "y\x1b", "datatype": "INT8", "shape": [1], "data": [1000]}]},
        "output `y\ufffd` of the answer cannot be read",
    ),
]


@pytest.mark.parametrize(("status", "answer", "message"), BAD_ANSWERS)
def test_bad_answers_are_one_line(servers: Servers, status: int, answer: object, message: str) -> None:
    servers.stub.status, servers.stub.answer = status, answer
    result = call(f"{http(servers)}/v2/models/m", "--input", "x=[1, 2]")
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert len(result.output) < 700


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("http://127.0.0.1:1/v2/models/m", "http://127.0.0.1:1 cannot be reached: "),
        ("ftp://host/v2/models/m", "`ftp` is not a scheme to call: use http, https or grpc"),
        ("http://", "`http://` names no host"),
        ("http://host:port/v2/models/m", "names no host"),
        ("http://host/other", "is no address such as http://host:port/v2/models/NAME"),
    ],
)
def test_bad_targets(target: str, message: str) -> None:
    result = call(target, "--input", "x=1")
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1


def test_other_refusals(servers: Servers) -> None:
    result = call(f"{http(servers)}/v2/models/nope", "--input", "x=1")
    assert "does not know model `nope` (status 404): Model nope not found" in result.output
    servers.stub.delay = 5
    result = call(f"{http(servers)}/v2/models/m", "--input", "x=[1, 2]", "--timeout", "0.3")
    assert "did not answer in time" in result.output
    assert call(f"{http(servers)}/v2/models/m", "--input", "x=1", "--header", "novalue").exit_code == 2
    servers.stub.metadata = {"inputs": "none"}
    servers.stub.delay = 0
    assert call(f"{http(servers)}/v2/models/m", "--input", "x=[1, 2]").exit_code == 0


def test_a_tensor_between_units_is_read_too(servers: Servers) -> None:
    data = np.array([1, 2], "<i8").tobytes()
    servers.stub.answer = {
        "outputs": [
            {
                "name": "y",
                "datatype": "INT64",
                "shape": [2],
                "data": [base64.b64encode(data).decode()],
                "parameters": {"encoding": "base64"},
            }
        ]
    }
    result = call(f"{http(servers)}/v2/models/m", "--input", "x=[1, 2]")
    assert [line.strip() for line in result.output.splitlines() if line.strip()][-2:] == ["1", "2"]
