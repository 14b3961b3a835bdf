"""The Python API: a graph is loaded, checked, compiled, called and served, and errors are Python's own."""

import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import graphc
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from graphc.api import GraphError, RequestFailedError
from graphc.api.problems import make_problem
from graphc.builder import Graph
from graphc.cli import main
from graphc.diagnostics import Diagnostic, Span
from graphc.diagnostics.codes.fields import UNKNOWN_FIELD
from graphc.version import VERSION

GRAPHS = Path(__file__).parents[2] / "graphs"
WINE = GRAPHS / "wine-average"
Json = dict[str, Any]


def read_case(folder: Path) -> tuple[np.ndarray[Any, Any], Json]:
    (tensor,) = json.loads((folder / "request.json").read_text())["inputs"]
    expected = json.loads((folder / "expected.json").read_text())["outputs"]
    given = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    return given, {each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in expected}


def build() -> Graph:
    graph = Graph("average")
    a, b = graph.input("a", "FP32[batch]"), graph.input("b", "FP32[batch]")
    graph.output(m=graph.component("m", "mean", [a, b]))
    return graph


def test_the_version_is_there_and_importing_it_is_light() -> None:
    assert graphc.__version__ == VERSION
    code = "import sys, graphc; graphc.__version__; print(sorted({'numpy', 'aiohttp', 'pydantic'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


@pytest.mark.parametrize("level", [0, 1, 2])
def test_an_example_answers_in_this_process(level: int) -> None:
    given, expected = read_case(WINE)
    graph = graphc.load(WINE / "graph.yaml", level=level)
    for inputs in ({"x": given}, given, given.tolist(), {"x": given.astype(np.float64)}):
        answer = graph.predict(inputs)
        assert list(answer) == ["probabilities", "cultivar"]
        for name, array in expected.items():
            np.testing.assert_allclose(answer[name], array, rtol=1e-5, atol=1e-5)


def test_types_and_versions_are_told() -> None:
    graph = graphc.load(GRAPHS / "cancer-rollout" / "graph.yaml")
    assert graph.inputs == {"x": "FP32[batch, 30]"}
    assert "main" in graph.versions
    given, _ = read_case(GRAPHS / "cancer-rollout")
    answers = [graph.predict(given, version=version) for version in graph.versions]
    assert len({answer["probabilities"].tobytes() for answer in answers}) > 1
    with pytest.raises(ValueError, match="there is no version `nope`; there are: main"):
        graph.predict(given, version="nope")


def test_a_graph_of_python_takes_tables_and_gives_texts() -> None:
    graph = graphc.load(build())
    assert graph.check() == []
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3, 5]})
    for inputs in (table, {"a": table["a"], "b": table["b"]}, {"a": (1, 2), "b": [3, 5]}):
        np.testing.assert_array_equal(graph.predict(inputs)["m"], np.array([2, 3.5], np.float32))
    vote = Graph("vote")
    texts = [vote.input(name, "BYTES[batch]") for name in "ab"]
    vote.output(label=vote.component("label", "hard-vote", texts))
    answer = graphc.load(vote).predict({"a": ["ä", b"\xff"], "b": np.array(["ä", "b"])})
    assert answer["label"].tolist() == ["ä", b"\xff"]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"a": [1]}, "input `b` is not given"),
        ({"a": [1], "b": [1], "c": [1]}, "`c` is not an input; the graph has `a`, `b`"),
        ([1, 2], "values have to be given by input: `a`, `b`"),
        ({"a": ["x"], "b": [1]}, "input `a`"),
        ({"a": [[1, 2]], "b": [1]}, "input `a` is FP32"),
        ({"a": np.array([1j]), "b": [1]}, "holds values that no datatype of the protocol has"),
    ],
)
def test_inputs_that_are_none_are_value_errors(inputs: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        graphc.load(build()).predict(inputs)


def test_what_fails_has_the_status_that_a_client_gets() -> None:
    with pytest.raises(RequestFailedError, match="has shape") as failed:
        graphc.load(build()).predict({"a": [1, 2], "b": [1]})
    assert failed.value.status == 400


def test_problems_are_values_and_errors_raise(tmp_path: Path) -> None:
    path = tmp_path / "graph.yaml"
    path.write_text((WINE / "graph.yaml").read_text().replace("component: mean", "component: meen"))
    shutil.copytree(WINE / "models", tmp_path / "models")
    graph = graphc.load(path)
    (problem,) = graph.check()
    assert (problem.code, problem.severity, problem.file) == ("GC109", "error", str(path))
    assert problem.line == path.read_text().splitlines().index("    component: meen") + 1
    assert "did you mean `mean`?" in str(problem)
    shown = CliRunner().invoke(main, ["check", str(path)])
    assert shown.output == f"{problem}\n\n1 error\n"
    for ask in (graph.compile, lambda: graph.predict([1]), lambda: graph.inputs):
        with pytest.raises(GraphError, match="GC109"):
            ask()
    assert "GC109" in graph._repr_markdown_()  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(GraphError, match="does not exist"):
        graphc.load(tmp_path / "none.yaml").compile()


def test_problems_tell_no_password() -> None:
    at = Span("graph.yaml", 1, 8, 1, 27)
    place = "https://bob:s3cr3t@h"
    found = Diagnostic(UNKNOWN_FIELD, f"no `{place}`", at, f"not {place}")
    problem = make_problem(found, {"graph.yaml": f"model: {place}\n"})
    assert (problem.message, problem.help) == ("no `https://...@h`", "not https://...@h")
    assert "bob" not in repr(problem)
    assert "s3cr3t" not in repr(problem)
    assert "https://**********@h" in str(problem)


def test_it_compiles_to_what_the_command_line_writes() -> None:
    graph = graphc.load(WINE / "graph.yaml", level=0)
    result = CliRunner().invoke(main, ["compile", "-O0", str(WINE / "graph.yaml")])
    assert graph.to_yaml() == result.stdout
    assert [each["kind"] for each in graph.compile()].count("SeldonDeployment") == 1


def test_the_picture_has_every_node_and_edge() -> None:
    picture = graphc.load(WINE / "graph.yaml", level=0).draw()
    lines = [line.strip() for line in picture.splitlines()]
    assert lines[0] == "flowchart LR"
    assert sum(line.startswith("subgraph") for line in lines) == 6
    # x to two nodes, scaled to two, three to the mean, one to argmax, and two to the outputs.
    assert sum("-->" in line for line in lines) == 10


def test_a_served_graph_answers_until_its_block_ends() -> None:
    given, expected = read_case(WINE)
    with graphc.load(WINE / "graph.yaml").serve() as served:
        body = {
            "inputs": [
                {"name": "x", "shape": list(given.shape), "datatype": "FP32", "data": given.ravel().tolist()}
            ]
        }
        with urllib.request.urlopen(f"{served.url}/infer", json.dumps(body).encode()) as answer:
            outputs = {each["name"]: each["data"] for each in json.load(answer)["outputs"]}
        assert outputs["cultivar"] == expected["cultivar"].tolist()
        port, _, name = str(served.grpc).removeprefix("grpc://127.0.0.1:").partition("/")
        assert port.isdecimal()
        assert name == served.name == WINE.name
        assert Path(f"/proc/{served.pid}/cmdline").read_bytes().split(b"\0").count(b"run") == 1
    with pytest.raises(OSError, match=r"refused"):
        urllib.request.urlopen(served.url)


def test_one_that_is_not_ready_in_time_is_ended() -> None:
    late = pytest.raises(RuntimeError, match=r"^the graph is not ready after 0.01 s:")
    with late, graphc.load(WINE / "graph.yaml").serve(seconds=0.01):
        pass


def test_one_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    (tmp_path / "post.py").write_text("raise RuntimeError('no weights')\n\ndef f(x): ...\n")
    path = tmp_path / "graph.yaml"
    path.write_text(
        "apiVersion: graphc/v1\nkind: InferenceGraph\nmetadata: {name: g}\ninputs: {x: 'FP32[batch]'}\n"
        "nodes:\n  n: {python: 'post:f', in: {x: x}, out: 'FP32[batch]'}\noutputs: {y: n}\n"
    )
    with pytest.raises(RuntimeError, match="no weights"), graphc.load(path).serve():
        pass
