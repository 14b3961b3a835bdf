"""What a graph says of failures and time holds across units, over HTTP behind the engine."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.engine.tree import read_timeout
from graphc.lower.options import Options
from graphc.seldon.node import node_of
from served_graphs import Call, serve_graph

Json = dict[str, Any]
Serve = Callable[[Path, int, list[Call]], list[tuple[int, Json]]]

STEPS: Final = """
import time

def slow(x):
    time.sleep(0.4)
    return x

def fail(x):
    raise ValueError("no luck")

def double(x):
    return x * 2
"""
HEAD: Final = {
    "apiVersion": "graphc/v1",
    "kind": "InferenceGraph",
    "metadata": {"name": "rules"},
    "inputs": {"x": "FP32[batch, 2]"},
}
BODY: Final = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}


def step(function: str, source: str, **fields: Any) -> Json:
    return {"python": f"steps:{function}", "in": {"x": source}, "out": "FP32[batch, 2]"} | fields


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a graph file, in JSON, with the module that it calls."""

    def make(nodes: Json, **fields: Any) -> Path:
        folder = tmp_path / "source"
        folder.mkdir()
        (folder / "steps.py").write_text(STEPS)
        document = HEAD | fields | {"nodes": nodes, "outputs": {"answer": list(nodes)[-1]}}
        (folder / "graph.yaml").write_text(json.dumps(document))
        return folder / "graph.yaml"

    return make


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serve a graph at an optimisation level, and return the status and body of each call's answer."""
    return lambda path, level, calls: serve_graph(path, level, calls, tmp_path / "mounted")


def late_graph(write: Callable[..., Path], deadline: str) -> Path:
    return write({"first": step("slow", "x"), "second": step("double", "first")}, deadline=deadline)


def test_the_first_unit_stamps_a_deadline_that_the_second_keeps(
    write: Callable[..., Path], serve: Serve
) -> None:
    ((status, body),) = serve(late_graph(write, "200ms"), 0, [Call(BODY)])
    assert (status, body) == (504, {"error": "deadline of 200ms passed before node `second`"})


def test_a_request_in_time_is_answered_without_its_stamp(write: Callable[..., Path], serve: Serve) -> None:
    ((status, body),) = serve(late_graph(write, "1m"), 0, [Call(BODY)])
    assert status == 200
    assert body["outputs"][0]["data"] == [2, 4]
    assert "graphc_deadline_ms" not in body["parameters"]


def test_a_client_may_ask_for_less_and_not_for_more(write: Callable[..., Path], serve: Serve) -> None:
    now = int(time.time() * 1000)
    asking = {"inputs": BODY["inputs"], "parameters": {"graphc_deadline_ms": now + 10**9}}
    calls = [
        Call(BODY, {"X-Graphc-Deadline-Ms": str(now - 1000)}),
        Call(asking),
        Call(BODY, {"X-Graphc-Deadline-Ms": "soon"}),
    ]
    past, more, wrong = serve(late_graph(write, "200ms"), 0, calls)
    assert past == (504, {"error": "the client's deadline passed before node `first`"})
    assert more == (504, {"error": "deadline of 200ms passed before node `second`"})
    assert wrong[0] == 400
    assert "X-Graphc-Deadline-Ms" in wrong[1]["error"]


def test_a_graph_without_a_deadline_has_no_stamp(write: Callable[..., Path], serve: Serve) -> None:
    path = write({"first": step("double", "x"), "second": step("double", "first")})
    ((status, body),) = serve(path, 0, [Call(BODY, {"X-Graphc-Deadline-Ms": "1"})])
    assert status == 200
    assert "graphc_deadline_ms" not in body.get("parameters", {})


@pytest.mark.parametrize("level", [0, 1])
def test_a_late_node_is_answered_for_by_its_fallback(
    level: int, write: Callable[..., Path], serve: Serve
) -> None:
    nodes = {
        "spare": step("double", "x"),
        "main": step("slow", "x", timeout="50ms", on_error={"node": "spare"}, unit="own"),
    }
    ((status, body),) = serve(write(nodes), level, [Call(BODY)])
    assert (status, body["outputs"][0]["data"]) == (200, [2, 4])


@pytest.mark.parametrize("level", [0, 1])
def test_a_quorum_does_without_a_unit_whose_node_fails(
    level: int, write: Callable[..., Path], serve: Serve
) -> None:
    nodes = {
        "left": step("fail", "x", on_error="skip", unit="left"),
        "right": step("double", "x", unit="right"),
        "both": {"component": "mean", "in": ["left", "right"], "quorum": 1},
    }
    ((status, body),) = serve(write(nodes), level, [Call(BODY)])
    assert (status, body["outputs"][0]["data"]) == (200, [2, 4])


def test_the_executor_is_told_the_deadline(write: Callable[..., Path]) -> None:
    path = write({"first": step("double", "x"), "second": step("double", "first")}, deadline="2s")
    (emission,) = compile_files(Request([str(path)], {}, {}, Options(0))).emissions
    deployment: Any = emission.documents[-1]
    assert deployment["spec"]["annotations"] == {
        "seldon.io/grpc-timeout": "2500",
        "seldon.io/rest-timeout": "2500",
    }
    assert read_timeout(node_of(deployment)) == 2.5
    deployment["spec"]["predictors"][0]["annotations"] = {"seldon.io/rest-timeout": "300"}
    assert read_timeout(node_of(deployment), "main") == 0.3
    assert read_timeout(node_of(deployment), "other") is None


def test_without_a_deadline_nothing_is_said(write: Callable[..., Path]) -> None:
    path = write({"first": step("double", "x")})
    (emission,) = compile_files(Request([str(path)], {}, {}, Options(0))).emissions
    deployment: Any = emission.documents[-1]
    assert "annotations" not in deployment["spec"]
    assert read_timeout(node_of(deployment)) is None


def quorum_graph(write: Callable[..., Path]) -> Path:
    nodes = {
        "left": step("slow", "x"),
        "right": step("double", "x"),
        "both": {"component": "mean", "in": ["left", "right"], "quorum": 1, "wait": "quorum"},
    }
    return write(nodes)


@pytest.mark.parametrize("level", [0, 1])
def test_a_combiner_does_not_wait_for_more_than_its_quorum(
    write: Callable[..., Path], serve: Serve, level: int
) -> None:
    ((status, body),) = serve(quorum_graph(write), level, [Call(BODY)])
    assert (status, body["outputs"][0]["data"]) == (200, [2, 4])
