"""The real BentoML: a service that `bentoml serve` runs is asked as a node asks it, and beside a unit."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from graphc.server_start import start_server
from graphc_components.datatypes import bytes_array
from graphc_runtimes.errors import ServerFaultError
from real_servers import RealServer, asking, environment, run_beside, same, serve, until_served

pytestmark = pytest.mark.slow

SERVICE: Final = Path(__file__).parent / "bentoml" / "service.py"
X: Final = np.array([[1.5, 2], [3, 4]], np.float32)
Y: Final = {"y": "FP32[batch, 1]"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("bentoml")
    shutil.copy(SERVICE, folder)
    bin_folder = environment("bentoml") / "bin"
    with serve(
        lambda ports: start_server("bentoml", ports, str(folder)), bin_folder, folder, "/readyz"
    ) as it:
        yield it


def test_an_api_of_one_array_is_asked_by_its_argument(server: RealServer) -> None:
    same(asking("bentoml", server.url, ["x"], Y, model="total")({"x": X})["y"], [[3.5], [7]])
    doubled = asking("bentoml", server.url, ["x"], {"y": "FP32[batch, 2]"}, model="doubled")
    same(doubled({"x": X})["y"], X * 2)


def test_an_api_has_a_route_and_takes_texts(server: RealServer) -> None:
    shout = asking("bentoml", server.url, ["texts"], {"y": "BYTES[batch]"}, parameters={"api": "v1/shout"})
    found = shout({"texts": bytes_array([b"one", "zw\u00f6lf".encode()], (2,))})
    assert found["y"].tolist() == [b"ONE", "ZW\u00d6LF".encode()]


def test_an_api_of_several_arguments_answers_by_names(server: RealServer) -> None:
    out = {"y": "FP64[batch, 2]", "count": "INT64[1]"}
    found = asking("bentoml", server.url, ["x", "factor"], out, model="scaled")(
        {"x": X, "factor": np.array([2, 10], np.float64)}
    )
    same(found["y"], [[3, 20], [6, 40]], "float64")
    assert found["count"].tolist() == [2]


def test_an_api_that_returns_a_text_answers_with_it_alone(server: RealServer) -> None:
    page = asking("bentoml", server.url, ["x"], {"y": "BYTES[1]"}, model="page")
    assert page({"x": X})["y"].tolist() == [b"<html>"]


def test_gaps_that_a_service_answers_with_are_read(server: RealServer) -> None:
    gaps = asking("bentoml", server.url, ["x"], {"y": "FP32[batch, 2]"}, model="gaps")
    same(gaps({"x": np.array([[1, 2]], np.float32)})["y"], [[1, np.nan]])


FAULTS: Final = [
    ("refuse", X, r"answered 400: x has to be positive"),
    ("fail", X, r"answered 500: An unexpected error has occurred, please check the server log\."),
    ("wait", X, r"answered 504: Not able to process the request in 1 seconds"),
    ("nobody", X, r"answered 404: Not Found"),
    ("typed", np.ones((3, 3), np.float32), r"answered 400: 1 validation error for Input: x: Value error, cannot"),
    ("page", X, r"gave an output `y` that holds"),
    ("total", bytes_array([b"a"], (1,)), r"answered [45]"),
]  # fmt: skip


@pytest.mark.parametrize(("api", "x", "said"), FAULTS, ids=[each[0] for each in FAULTS])
def test_a_fault_is_told_in_the_servers_words_and_the_next_request_served(
    server: RealServer, api: str, x: np.ndarray, said: str
) -> None:
    with pytest.raises(ServerFaultError, match=r"\(BentoML\) " + said):
        asking("bentoml", server.url, ["x"], {"y": "FP32[batch, 2]"}, model=api)({"x": x})
    same(asking("bentoml", server.url, ["x"], Y, model="total")({"x": X})["y"], [[3.5], [7]])


def test_an_argument_that_the_api_does_not_have_is_named(server: RealServer) -> None:
    with pytest.raises(ServerFaultError, match="1 validation error for Input: x: Field required"):
        asking("bentoml", server.url, ["z"], Y, model="total")({"z": X})


def test_a_time_that_is_over_is_told(server: RealServer) -> None:
    with pytest.raises(ServerFaultError, match=r"\(BentoML\) gave no answer in time"):
        asking("bentoml", server.url, ["x"], Y, model="wait", timeout_ms=300)({"x": X})


def test_a_worker_that_dies_during_a_request_is_told_and_the_next_request_served(server: RealServer) -> None:
    run = asking("bentoml", server.url, ["x"], Y, model="total")
    run({"x": X})
    with pytest.raises(
        ServerFaultError, match=r"\(BentoML\) closed the connection before its answer was whole"
    ):
        asking("bentoml", server.url, ["x"], Y, model="die")({"x": X})
    until_served(lambda: same(run({"x": X})["y"], [[3.5], [7]]))


def test_graphc_runs_the_service_beside_its_unit(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    shutil.copy(SERVICE, tmp_path / "service")
    found = run_beside(tmp_path, GRAPH, "bentoml", "x=[[1,2],[3,4]]")
    assert found == {"total": [3, 7], "scaled": [1, 4, 9, 16]}


GRAPH: Final = """
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: totals}
inputs: {x: "FP32[batch, 2]"}
servers:
  own: {kind: bentoml, image: "registry.example.com/bentoml:1.4.40", models: service}
nodes:
  total: {server: own, in: {x: x}, out: {y: "FP32[batch, 1]"}}
  scaled: {server: own, in: {x: x, factor: x}, out: {y: "FP32[batch, 2]"}}
outputs: {total: total, scaled: scaled}
"""
