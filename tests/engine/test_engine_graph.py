"""graphc's engine as a pod has it: it reads its tree from a file, and tells a service of the answers."""

import asyncio
import json
import signal
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import tritonclient.grpc as triton_grpc  # pyright: ignore[reportMissingTypeStubs]
from click.testing import CliRunner
from graphc.cli.engine_command import command
from graphc.compare.serve import CompareService, ServeOptions
from graphc.engine.graph_file import EngineGraph, read_engine_graph
from graphc.engine.limits import Limits
from graphc.engine.serve import Engine, EngineOptions
from graphc.engine.tree import TreeProblem
from graphc.seldon.node import node_of
from running_servers import running

Json = dict[str, Any]

TENSOR: Final = {"name": "y", "datatype": "FP32", "shape": [-1]}


class _Unit(BaseHTTPRequestHandler):
    """Answers its inputs as outputs."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say({})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["inputs"][0]["data"] == [13.0]:
            self.send_error(500)
            return
        self._say({"outputs": [{**each, "name": "y"} for each in asked["inputs"]]})

    def _say(self, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


@contextmanager
def unit() -> Generator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Unit)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def described(port: int, **more: object) -> Json:
    endpoint = {"service_host": "127.0.0.1", "httpPort": port}
    graph: Json = {"name": "a", "type": "MODEL", "endpoint": endpoint, "children": []}
    fields: Json = {"apiVersion": "graphc.dev/v1", "kind": "EngineGraph", "name": "score"}
    fields |= {"versions": ["main", "v1"], "inputs": [TENSOR | {"name": "x"}], "outputs": [TENSOR]}
    return fields | {"graph": graph} | more


def asked(value: float = 1.0) -> Json:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [value]}]}


def test_the_command_serves_the_graph_of_a_file(tmp_path: Path) -> None:
    with unit() as port:
        (tmp_path / "graph.json").write_text(json.dumps(described(port)))
        options = ["engine", tmp_path / "graph.json", "--http-port", "0", "--grpc-port", "0"]
        with running([*options], tmp_path, "engine") as program:
            url = program.await_line(r"^(http://\S+)$")[1]
            calls = program.await_line(r"^grpc://(\S+)$")[1]
            assert httpx.get(f"{url}/v2/health/ready").status_code == 200
            facts = httpx.get(f"{url}/v2/models/score").json()
            assert facts["versions"] == ["main", "v1"]
            assert (facts["inputs"][0]["name"], facts["outputs"][0]["name"]) == ("x", "y")
            for path in ("score", "score/versions/v1"):
                answer = httpx.post(f"{url}/v2/models/{path}/infer", json=asked())
                assert (answer.status_code, answer.json()["outputs"][0]["data"]) == (200, [1.0])
            assert httpx.post(f"{url}/v2/models/score/versions/v2/infer", json=asked()).status_code == 404
            _call(calls)
            program.process.send_signal(signal.SIGTERM)
            assert program.process.wait(20) == 0


def _call(address: str) -> None:
    client: Any = triton_grpc.InferenceServerClient(address)
    try:
        assert client.is_model_ready("score")
        assert client.is_model_ready("score", "main")
        with pytest.raises(Exception, match="`score` has no version `v2` here"):
            client.is_model_ready("score", "v2")
    finally:
        client.close()


def test_it_is_ready_once_all_units_are(tmp_path: Path) -> None:
    with unit() as port:
        pass
    (tmp_path / "graph.json").write_text(json.dumps(described(port)))
    with running(["engine", tmp_path / "graph.json", "--http-port", "0"], tmp_path, "engine") as program:
        url = program.await_line(r"^(http://\S+)$")[1]
        assert httpx.get(f"{url}/v2/health/live").status_code == 200
        assert httpx.get(f"{url}/v2/health/ready").status_code == 503


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"name": ""}, "is not an EngineGraph with a name"),
        ({"timeout_ms": -1}, "timeout_ms: is not a positive whole number"),
        ({"timeout_ms": "soon"}, "timeout_ms: is not a positive whole number"),
        ({"graph": {}}, "document.graph.name: is not a text"),
        ({"graph": {"name": "a", "type": "MODEL"}}, "unit `a` has no endpoint"),
        ({"graph": None}, "document.graph: is missing"),
    ],
)
def test_a_file_that_is_no_graph_is_one_line(tmp_path: Path, more: Json, problem: str) -> None:
    document = described(9, **more)
    assert problem in str(read_engine_graph(node_of(document)))
    (tmp_path / "graph.json").write_text(json.dumps(document))
    done = CliRunner().invoke(command, [str(tmp_path / "graph.json")])
    assert done.exit_code == 1
    assert problem in done.output
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize("option", ["--as-seldon", "--lenient", "--predictor=main"])
def test_what_is_for_seldons_is_refused(tmp_path: Path, option: str) -> None:
    (tmp_path / "graph.json").write_text(json.dumps(described(9)))
    done = CliRunner().invoke(command, [str(tmp_path / "graph.json"), option])
    assert done.exit_code == 2
    assert "are for SeldonDeployments" in done.output


@asynccontextmanager
async def engine_of(port: int, compare: int, role: str, predictor: str) -> AsyncGenerator[str]:
    """Run an engine that tells the service of its answers; yield its URL."""
    report = {"url": f"http://127.0.0.1:{compare}/{role}?content=1", "predictor": predictor}
    found = read_engine_graph(node_of(described(port, report=report)))
    assert isinstance(found, EngineGraph)
    assert found.report is not None
    engine = Engine(found.root, EngineOptions(graph=found.graph, report=found.report, limits=Limits()))
    await engine.start()
    try:
        yield f"http://127.0.0.1:{engine.http_port}"
    finally:
        await engine.stop()


async def _compare(port: int) -> tuple[Json, str]:
    """Ask a live version and a shadow the same, and return the report and what the live engine counted."""
    service = CompareService(ServeOptions(host="127.0.0.1", port=0))
    compare = await service.start()
    try:
        async with httpx.AsyncClient() as client:
            async with (
                engine_of(port, compare, "live", "main") as live,
                engine_of(port, compare, "shadow", "ghost") as shadow,
            ):
                for number in range(20):
                    headers = {"Seldon-Puid": f"r{number}"}
                    for url in (live, shadow):
                        path = f"{url}/v2/models/score/infer"
                        answer = await client.post(path, json=asked(float(number)), headers=headers)
                        assert answer.status_code == (500 if number == 13 else 200)
                counted = await _await_text(client, f"{live}/metrics", 'outcome="sent"} 20.0')
            report = await _await_text(client, f"http://127.0.0.1:{compare}/report", '"samples": 19')
            ((key, tracked),) = service._graphs  # pyright: ignore[reportPrivateUsage]
            assert key == ("", "score")
            assert len(tracked.intake) == 2, "each engine's request that failed waits for an answer"
    finally:
        await service.stop()
    return json.loads(report), counted


async def _await_text(client: httpx.AsyncClient, url: str, wanted: str) -> str:
    """Return what a URL answers once that holds a text."""
    found = ""
    for _ in range(200):
        found = (await client.get(url)).text
        if wanted in found:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


def test_a_service_is_told_of_the_answers_of_live_versions_and_shadows() -> None:
    with unit() as port:
        report, counted = asyncio.run(_compare(port))
    assert report["candidates"]["ghost"]["samples"] == 19
    assert report["candidates"]["ghost"]["outputs"]["y"]["error"]["max"] == 0
    assert 'graphc_engine_reports_total{outcome="sent"} 20.0' in counted


async def _answer_without(port: int) -> None:
    async with engine_of(port, 9, "live", "main") as live, httpx.AsyncClient() as client:
        for _ in range(30):
            answer = await client.post(f"{live}/v2/models/score/infer", json=asked())
            assert answer.status_code == 200
        await _await_text(client, f"{live}/metrics", 'outcome="failed"} 30.0')


def test_a_service_that_is_away_costs_no_answer() -> None:
    with unit() as port:
        asyncio.run(_answer_without(port))


def test_a_problem_is_no_graph() -> None:
    assert isinstance(read_engine_graph(node_of({"kind": "Pod"})), TreeProblem)
