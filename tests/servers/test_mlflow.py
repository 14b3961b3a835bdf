"""The real MLServer with its runtime for MLflow: what check says of a graph is what the server says."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.server_start import start_server
from graphc_runtimes.errors import ServerFaultError
from real_servers import RealServer, asking, environment, run_beside, serve

pytestmark = pytest.mark.slow

WRITER: Final = Path(__file__).parent / "mlflow" / "write_models.py"
X: Final = np.arange(6.0).reshape(2, 3)

GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: tracked}
inputs: {a: "FP64[batch]", b: "FP32[batch]", x: "FP32[batch, 3]", y: "FP64[batch, 3]"}
servers:
  own: {kind: mlserver, image: "registry.example.com/mlserver:1", models: models}
nodes:
  columns: {server: own, in: {a: a, b: b, c: a}, inputs: {a: "FP64[batch]", b: "FP32[batch]", c: "FP64[batch]"},
    out: {output-1: "FP64[batch, 1]"}}
  unnamed: {server: own, in: {anything: y}, out: {output-1: "FP64[batch, 1]"}}
  named: {server: own, in: {x: x}, out: {double: "FP32[batch, 3]", sum: "FP32[batch, 1]"}}
outputs: {columns: columns, unnamed: unnamed, double: named.double, sum: named.sum}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow")
    python = environment("mlflow") / "bin" / "python"
    done = subprocess.run([python, WRITER, folder / "models"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RealServer]:
    bin_folder = environment("mlflow") / "bin"
    models = str(folder / "models")
    with serve(
        lambda ports: start_server("mlserver", ports, models), bin_folder, folder, "/v2/health/ready"
    ) as it:
        yield it


def test_a_graph_that_check_passes_is_answered(folder: Path) -> None:
    rows = X.astype(np.float32)
    columns = (f"a={json.dumps([1, 4])}", f"b={json.dumps([2, 5])}")
    tensors = (f"x={json.dumps(rows.tolist())}", f"y={json.dumps(X.tolist())}")
    found = run_beside(folder, GRAPH, "mlflow", *columns, *tensors)
    np.testing.assert_allclose(found["columns"], [4, 13], rtol=1e-6)
    np.testing.assert_allclose(found["unnamed"], X.sum(axis=1), rtol=1e-6)
    assert found["double"] == (rows * 2).ravel().tolist()
    assert found["sum"] == rows.sum(axis=1).tolist()


def refused(folder: Path, old: str, new: str) -> list[str]:
    """Return what check says of the graph with a change."""
    changed = GRAPH.replace(old, new)
    assert changed != GRAPH
    path = folder / "changed.yaml"
    path.write_text(changed)
    return [each.message for each in compile_files(Request([str(path)])).sink]


@pytest.mark.parametrize(
    ("change", "message", "model", "feeds", "out"),
    [
        (("b: b, c: a}, inputs", "b: b}, inputs"), "does not feed `c`", "columns", "ab", "output-1"),
        (("{x: x}, out", "{z: x}, out"), "feeds `z`", "named", "z", "double"),
        (("y}, out: {output-1", "y}, out: {output-0"), "gives `output-0`", "unnamed", "i", "output-0"),
    ],
)
def test_what_check_refuses_the_server_refuses(
    server: RealServer, folder: Path, change: tuple[str, str], message: str, model: str, feeds: str, out: str
) -> None:
    assert any(message in each for each in refused(folder, *change))
    row = {"columns": np.ones(2), "unnamed": X, "named": X.astype(np.float32)}[model]
    declared = "FP32[batch, 3]" if model == "named" else "FP64[batch, 1]"
    run = asking("mlserver", server.url, list(feeds), {out: declared}, model=model)
    with pytest.raises(ServerFaultError):
        run(dict.fromkeys(feeds, row))


def test_an_output_of_one_dimension_is_answered_with_two(server: RealServer, folder: Path) -> None:
    told = refused(folder, 'sum: "FP32[batch, 1]"', 'sum: "FP32[batch]"')
    wanted = "`named` declares `sum` as `FP32[batch]`, and `named/model/MLmodel` has 2 dimensions"
    assert wanted in told
    run = asking("mlserver", server.url, ["x"], {"sum": "FP32[batch, 1]"}, model="named")
    assert run({"x": X.astype(np.float32)})["sum"].shape == (2, 1)
