"""The real language wrapper of Seldon: a class that `seldon-core-microservice` serves is asked as a node asks it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from graphc.server_start import Started
from graphc_components.datatypes import bytes_array
from graphc_runtimes.errors import ServerFaultError
from real_servers import RealServer, asking, environment, run_beside, same, serve, until_served

pytestmark = pytest.mark.slow

CLASSES: Final = Path(__file__).parent / "seldon"
ENVIRONMENT: Final = "seldon-1.19" if sys.version_info >= (3, 12) else "seldon-1.18"
"""1.19 asks for Python 3.12."""
X: Final = np.array([[1.5, 2], [3, 4]], np.float32)
Y: Final = {"y": "FP32[batch, 1]"}
WIDE: Final = {"y": "FP64[batch, 2]"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("seldon")
    bin_folder = environment(ENVIRONMENT) / "bin"
    with serve(
        lambda ports: Started(
            ("seldon-core-microservice", "Classes", "--service-type", "MODEL", "--http-port", str(ports.http),
             "--grpc-port", str(ports.grpc), "--metrics-port", str(ports.metrics)),
            {"PYTHONPATH": str(CLASSES)},
        ),
        bin_folder, folder, "/health/status",
    ) as it:  # fmt: skip
        yield it


@pytest.mark.parametrize("tensors", ["ndarray", "tensor"])
def test_each_method_is_asked_with_both_encodings(server: RealServer, tensors: str) -> None:
    def ask(method: str, out: dict[str, str], *inputs: np.ndarray) -> np.ndarray:
        names = [f"x{index}" for index in range(len(inputs))]
        run = asking("seldon", server.url, names, out, parameters={"method": method, "tensors": tensors})
        return run(dict(zip(names, inputs, strict=True)))["y"]

    same(ask("predict", Y, X), [[3.5], [7]])
    same(ask("transform-input", WIDE, X), X * 2, "float64")
    same(ask("transform-output", WIDE, X.astype(np.int32)), X.astype(np.int32) + 1, "float64")
    same(ask("aggregate", WIDE, X, X * 3), X * -2, "float64")
    same(ask("route", {"y": "INT32[1, 1]"}, X), [[1]], "int32")


def test_the_class_is_told_the_names_of_columns(server: RealServer) -> None:
    run = asking("seldon", server.url, ["x"], Y, parameters={"names": ["left", "right"]})
    same(run({"x": X})["y"], [[35], [70]])


def test_texts_travel_in_lists(server: RealServer) -> None:
    texts = bytes_array(["é".encode(), b"b"], (1, 2))
    run = asking("seldon", server.url, ["x"], {"y": "BYTES[batch, 2]"}, parameters={"tensors": "tensor"})
    assert run({"x": texts})["y"].tolist() == [["É".encode(), b"B"]]


def test_not_a_number_comes_back(server: RealServer) -> None:
    for tensors in ("ndarray", "tensor"):
        run = asking("seldon", server.url, ["x"], WIDE, parameters={"tensors": tensors})
        same(run({"x": np.array([[3000, 1]], np.float32)})["y"], [[np.nan, np.inf]], "float64")


def test_a_text_alone_is_one_element(server: RealServer) -> None:
    run = asking("seldon", server.url, ["x"], {"y": "BYTES[1]"})
    assert run({"x": np.array([[4000]], np.float32)})["y"].tolist() == [b"a text"]


FAULTS: Final = [
    (np.array([[-1]], np.float32), r"answered 500: a value is negative"),
    (np.array([[5000]], np.float32), r"answered without `data`"),
    (np.array([[1], [4000]], np.float32), r"gave an output `y` that holds"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "said"), FAULTS)
def test_a_fault_is_told_in_the_wrappers_words_and_the_next_request_served(
    server: RealServer, x: np.ndarray, said: str
) -> None:
    run = asking("seldon", server.url, ["x"], Y)
    with pytest.raises(ServerFaultError, match=r"\(Seldon's language wrapper\) " + said):
        run({"x": x})
    same(run({"x": X})["y"], [[3.5], [7]])


def test_a_class_that_hangs_or_dies_is_told_and_the_next_request_served(server: RealServer) -> None:
    run = asking("seldon", server.url, ["x"], Y, timeout_ms=500)
    with pytest.raises(ServerFaultError, match="closed the connection before its answer was whole"):
        run({"x": np.array([[1000]], np.float32)})
    until_served(lambda: same(run({"x": X})["y"], [[3.5], [7]]))
    with pytest.raises(ServerFaultError, match="gave no answer in time"):
        run({"x": np.array([[2000]], np.float32)})


GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: wrapped}
inputs: {x: "FP32[batch, 2]"}
servers:
  own: {kind: seldon, url: "http://classes:9000"}
nodes:
  doubled: {server: own, in: {x: x}, out: {y: "FP32[batch, 2]"}, parameters: {method: transform-input}}
  joined:
    server: own
    in: {z: doubled, a: x}
    out: {y: "FP32[batch, 2]"}
    parameters: {method: aggregate, tensors: tensor}
outputs: {joined: joined}
"""


def test_a_graph_asks_it_with_tensors_in_the_order_of_the_file(server: RealServer, tmp_path: Path) -> None:
    found = run_beside(tmp_path, GRAPH, ENVIRONMENT, "x=[[1,2],[3,4]]", at={"own": server.url})
    assert found == {"joined": [1, 2, 3, 4]}
