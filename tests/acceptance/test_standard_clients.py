"""Standard V2 clients call a graph of several units at the graph's name, unmodified."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc  # pyright: ignore[reportMissingTypeStubs]
import tritonclient.http as triton_http  # pyright: ignore[reportMissingTypeStubs]

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "graphs" / "wine-average"
GRAPH: Final = "wine-average"
UNITS: Final = 6
START_S: Final = 240

pytestmark = pytest.mark.timeout(START_S + 120)


@dataclass(frozen=True, slots=True)
class Running:
    """A graph that `graphc run` serves, with what it printed."""

    http: str
    grpc: str
    printed: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run the example with every node a unit, as a user would."""
    yield from _run(tmp_path_factory.mktemp("run") / "log")


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run it with more than a cluster answers."""
    yield from _run(tmp_path_factory.mktemp("lenient") / "log", "--lenient")


def _run(log: Path, *options: str) -> Iterator[Running]:
    program = "from graphc.cli import start; start()"
    command = [sys.executable, "-c", program, "run", "-O0", "--port", "0", "--grpc-port", "0", *options]
    with log.open("w") as stream:
        process = subprocess.Popen([*command, FOLDER / "graph.yaml"], stdout=stream, stderr=stream)
    try:
        printed = _wait_for_summary(process, log)
        http, grpc = re.search(r"http://([\d.:]+)/", printed), re.search(r"grpc://([\d.:]+)/", printed)
        assert http
        assert grpc
        yield Running(http[1], grpc[1], printed)
    finally:
        process.terminate()
        process.wait(60)


def _wait_for_summary(process: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        printed = log.read_text()
        if "curl " in printed:
            return printed
        assert process.poll() is None, printed
        time.sleep(0.5)
    raise AssertionError(f"not up after {START_S} s:\n{log.read_text()}")


@pytest.fixture(scope="module")
def rows() -> "np.ndarray[Any, np.dtype[np.float32]]":
    (tensor,) = json.loads((FOLDER / "request.json").read_text())["inputs"]
    return np.array(tensor["data"], np.float32).reshape(tensor["shape"])


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    outputs = json.loads((FOLDER / "expected.json").read_text())["outputs"]
    return {each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in outputs}


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_tritonclient(kind: str, lenient: Running, rows: Any, expected: dict[str, Any]) -> None:
    triton = cast("Any", triton_http if kind == "http" else triton_grpc)
    client = triton.InferenceServerClient(lenient.http if kind == "http" else lenient.grpc)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(GRAPH)
    tensor = triton.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    answer = client.infer(GRAPH, [tensor])
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected["probabilities"], atol=1e-5)
    np.testing.assert_array_equal(answer.as_numpy("cultivar"), expected["cultivar"])
    client.close()


def test_tritonclient_sees_the_graphs_true_inputs_and_outputs(running: Running) -> None:
    client = cast("Any", triton_http.InferenceServerClient(running.http))
    metadata = client.get_model_metadata(GRAPH)
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 13]}]
    assert metadata["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "cultivar", "datatype": "INT64", "shape": [-1]},
    ]
    client.close()


def test_tritonclient_gets_what_the_executor_gives(
    running: Running, rows: Any, expected: dict[str, Any]
) -> None:
    client = cast("Any", triton_http.InferenceServerClient(running.http))
    assert client.is_model_ready(GRAPH)
    tensor: Any = triton_http.InferInput("x", list(rows.shape), "FP32")
    outputs = [triton_http.InferRequestedOutput("cultivar", binary_data=False)]
    tensor.set_data_from_numpy(rows)
    with pytest.raises(Exception, match="after top-level value"):
        client.infer(GRAPH, [tensor], outputs=outputs)
    tensor.set_data_from_numpy(rows, binary_data=False)
    answer = client.infer(GRAPH, [tensor], outputs=outputs)
    np.testing.assert_array_equal(answer.as_numpy("cultivar"), expected["cultivar"])
    client.close()
    calls = cast("Any", triton_grpc.InferenceServerClient(running.grpc))
    with pytest.raises(Exception, match="Seldon's executor would end here"):
        calls.is_server_live()
    calls.close()


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_only_the_outputs_asked_for_are_answered(kind: str, lenient: Running, rows: Any) -> None:
    triton = cast("Any", triton_http if kind == "http" else triton_grpc)
    client = triton.InferenceServerClient(lenient.http if kind == "http" else lenient.grpc)
    tensor = triton.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    answer = client.infer(GRAPH, [tensor], outputs=[triton.InferRequestedOutput("cultivar")])
    assert answer.as_numpy("cultivar") is not None
    assert answer.as_numpy("probabilities") is None
    with pytest.raises(Exception, match="the graph has no output `nope`"):
        client.infer(GRAPH, [tensor], outputs=[triton.InferRequestedOutput("nope")])
    client.close()


def test_the_curl_line_that_is_printed(running: Running) -> None:
    (line,) = [each for each in running.printed.splitlines() if each.startswith("curl ")]
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    outputs = {each["name"]: each for each in json.loads(done.stdout)["outputs"]}
    assert outputs["probabilities"]["shape"] == [1, 3]
    assert sum(outputs["probabilities"]["data"]) == pytest.approx(1, abs=1e-5)


def test_mlservers_own_client(lenient: Running, rows: Any, expected: dict[str, Any], tmp_path: Path) -> None:
    lines = [
        json.dumps({"inputs": [{"name": "x", "shape": [1, 13], "datatype": "FP32", "data": row.tolist()}]})
        for row in rows
    ]
    (tmp_path / "in").write_text("\n".join(lines) + "\n")
    program = "from mlserver.cli import main; main()"
    command = [sys.executable, "-c", program, "infer", "-u", lenient.http, "-m", GRAPH]
    command += ["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--transport", "rest"]
    subprocess.run(command, capture_output=True, check=True)
    answers = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    answers.sort(key=lambda answer: answer["parameters"]["batch_index"])
    found = [answer["outputs"][0]["data"] for answer in answers]
    np.testing.assert_allclose(found, expected["probabilities"], atol=1e-5)


def test_a_wrong_shape_is_a_400_that_names_unit_and_tensor(running: Running) -> None:
    body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    answer = httpx.post(f"http://{running.http}/v2/models/{GRAPH}/infer", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "unit `wine-average`: tensor `x` has shape [1, 2], not [batch=1, 13]"


def test_every_unit_is_counted_in_the_metrics(running: Running) -> None:
    metrics = httpx.get(f"http://{running.http}/metrics").text
    called = set(
        re.findall(r'graphc_engine_unit_requests_total\{call="\w+",code="200",unit="([\w-]+)"\}', metrics)
    )
    assert len(called) == UNITS
