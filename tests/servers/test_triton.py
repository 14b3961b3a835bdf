"""Nodes that ask the real Triton: what it computes, what it refuses, and what happens when it is not there."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import framework_servers
import numpy as np
import pytest
from framework_servers import (
    HEADER,
    HOST,
    ask_node,
    assert_rows,
    await_ready,
    find_process,
    free_ports,
    post,
    post_until_served,
    started,
)
from graphc.bench.serve import serve
from graphc_components.datatypes import Array, bytes_array
from graphc_runtimes.errors import ServerFaultError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import Declared
from triton_server import install_triton, write_repository

pytestmark = pytest.mark.slow

ROW: Final = {"y": Declared("FP32", ("batch", 3))}
X: Final = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_triton(tmp_path_factory.mktemp("triton"))


@pytest.fixture(scope="module")
def url(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    models = ("plain", "joined", "versions", "ensemble", "types", "stream", "sequence", "slow")
    repository = write_repository(tmp_path_factory.mktemp("served") / "models", *models)
    with serving(programs, repository, free_ports(3)) as url:
        await_ready(f"{url}/v2/health/ready")
        yield url


@contextlib.contextmanager
def serving(programs: Path, repository: Path, ports: Sequence[int]) -> Generator[str]:
    """Run a Triton; it may not be ready yet."""
    command = [str(programs / "tritonserver"), f"--model-repository={repository}"]
    for name, port in zip(("http", "grpc", "metrics"), ports, strict=True):
        command += [f"--{name}-address={HOST}", f"--{name}-port={port}"]
    with started(command, repository.parent):
        yield f"http://{HOST}:{ports[0]}"


def load(url: str, model: str, out: Mapping[str, Declared] = ROW, **more: Any) -> Runner:
    return framework_servers.load("triton", url, model, out, **more)


# --- What it computes --------------------------------------------------------------------------------

BESIDE: Final = (
    HEADER
    + """
servers:
  boxes: {kind: triton, image: "registry.example.com/tritonserver:24.10-py3", models: models, load_seconds: 60}
nodes:
  plain: {server: boxes, in: {x: x}, out: {y: "FP32[batch, 3]"}}
  late: {server: boxes, in: {x: plain}, out: {y: "FP32[batch, 3]"}}
  first: {server: boxes, model: versions, version: "1", in: {x: late}, out: {y: "FP32[batch, 3]"}}
  newest: {server: boxes, model: versions, in: {x: x}, out: {y: "FP32[batch, 3]"}}
  whole: {server: boxes, model: ensemble, in: {x: x}, out: {y: "FP32[batch, 3]"}}
  average: {component: mean, in: [first, newest, whole]}
outputs: {first: first, newest: newest, whole: whole, average: average}
"""
)


def test_a_run_starts_it_and_waits_for_what_loads_slowly(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_repository(tmp_path / "models", "plain", "versions", "ensemble", "late")
    (tmp_path / "graph.yaml").write_text(BESIDE)
    monkeypatch.setenv("PATH", os.pathsep.join([str(programs), os.environ["PATH"]]))
    with serve(str(tmp_path / "graph.yaml")) as served:
        first, newest, whole = 4 * X + 1, X + 2, 2 * X + 2
        expected = {"first": first, "newest": newest, "whole": whole, "average": (first + newest + whole) / 3}
        assert post(served.url, X)[0] == 200
        # It dies, and is started anew.
        os.kill(find_process("bin/tritonserver", str(programs.parent), "graphc-run-"), signal.SIGKILL)
        assert_rows(post_until_served(served.url, X), expected)


@pytest.mark.parametrize("tensors", ["raw", "json"])
def test_it_batches_requests_that_come_at_once(url: str, tensors: str) -> None:
    out = {**ROW, "requests": Declared("INT32", ("batch", 1))}
    run = load(url, "joined", out, parameters={"tensors": tensors})
    with ThreadPoolExecutor(4) as threads:
        rows: list[Array] = [X[:1] + np.float32(index) for index in range(4)]
        asked: list[Mapping[str, Array]] = [{"x": row} for row in rows]
        answers = list(threads.map(run, asked))
    for row, answer in zip(rows, answers, strict=True):
        np.testing.assert_array_equal(answer["y"], row)
    assert max(int(each["requests"][0, 0]) for each in answers) > 1


@pytest.mark.parametrize("tensors", ["raw", "json"])
def test_texts_halves_flags_and_large_integers_go_both_ways(url: str, tensors: str) -> None:
    types = {"TEXT": "BYTES", "HALF": "FP16", "FLAG": "BOOL", "WIDE": "INT64", "BYTE": "UINT8"}
    sent: dict[str, Array] = {
        "text": bytes_array([b"one", b"", "ä".encode()], (3,)),
        "half": np.array([0.5, 2, -3], np.float16),
        "flag": np.array([True, False, True]),
        "wide": np.array([2**62, -5, 0]),
        "byte": np.array([0, 7, 254], np.uint8),
    }
    if tensors == "json":
        # JSON has no numbers of 16 bits, and Triton takes none.
        with pytest.raises(ServerFaultError, match=r"answered 400: .*FP16"):
            load(url, "types", {"HALF": Declared("FP16", ("n",))}, parameters={"tensors": tensors})(sent)
        return
    found = load(url, "types", {name: Declared(each, ("n",)) for name, each in types.items()})(sent)
    assert found["TEXT"].tolist() == [b"ONE", b"", "ä".encode()]
    np.testing.assert_array_equal(found["HALF"], np.array([1, 4, -6], np.float16))
    np.testing.assert_array_equal(found["FLAG"], [False, True, False])
    np.testing.assert_array_equal(found["WIDE"], [2**62 + 1, -4, 1])
    np.testing.assert_array_equal(found["BYTE"], [1, 8, 255])


def test_raw_tensors_carry_what_json_cannot_both_ways(url: str) -> None:
    x = np.array([[np.nan, np.inf, 1]], np.float32)
    np.testing.assert_array_equal(load(url, "plain")({"x": x})["y"], [[np.nan, np.inf, 2]])


def test_a_run_asks_one_that_runs_already(url: str, tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(
        BESIDE.replace("late: {server: boxes", "late: {model: plain, server: boxes")
    )
    write_repository(tmp_path / "models", "plain", "versions", "ensemble")
    with serve(str(tmp_path / "graph.yaml"), ["--at", f"boxes={url}"]) as served:
        first, newest, whole = 4 * X + 1, X + 2, 2 * X + 2
        expected = {"first": first, "newest": newest, "whole": whole, "average": (first + newest + whole) / 3}
        assert_rows(post_until_served(served.url, X), expected)


# --- What it refuses ---------------------------------------------------------------------------------

FAULTS: Final = [
    ("model: plian", "answered 404: Request for unknown model: 'plian' is not found"),
    ('model: versions, version: "3"', "answered 404: Request for unknown model: 'versions' version 3"),
    ('model: plain, version: "latest"', "answered 404"),
    ("model: stream", "answered 501: HTTP end point doesn't support models with decoupled transaction policy"),
    ("model: sequence", "answered 400: inference request to model 'sequence' must specify"),
    ("model: types", "answered 400: unexpected inference output 'y' for model 'types'"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "words"), FAULTS, ids=[each for each, _ in FAULTS])
def test_what_it_refuses_names_node_and_server(url: str, tmp_path: Path, asked: str, words: str) -> None:
    node = f'{{server: triton, url: "{url}", {asked}, in: {{x: x}}, out: {{y: "FP32[batch, 3]"}}}}'
    (status, said), (again, _) = ask_node(tmp_path, node, X, X)
    assert status == again == 500
    assert f"node `score`: its server (NVIDIA Triton) {words}" in said["error"]
    # It serves what is asked for rightly, all the same.
    np.testing.assert_array_equal(load(url, "plain")({"x": X})["y"], 2 * X)


def test_a_request_that_its_model_refuses_is_told_and_the_next_served(url: str, tmp_path: Path) -> None:
    node = f'{{server: triton, url: "{url}", model: plain, in: {{x: x}}, out: {{y: "FP32[batch, 3]"}}}}'
    (status, said), (served, answer) = ask_node(tmp_path, node, -X, X)
    assert status == 500
    assert "node `score`: its server (NVIDIA Triton) answered 500: " in said["error"]
    assert "a row is negative" in said["error"]
    assert served == 200
    assert_rows(answer, {"y": 2 * X})


@pytest.mark.parametrize(
    ("model", "out", "words"),
    [
        ("plain", {"z": "FP32[batch, 3]"}, "unexpected inference output 'z' for model 'plain'"),
        ("plain", {"y": "FP32[batch, 4]"}, "gave an output `y` that has shape [2, 3], not [batch=2, 4]"),
        ("joined", {"requests": "INT64[batch, 1]"}, "gave an output `requests` that is INT32, not INT64"),
    ],
)  # fmt: skip
def test_another_output_than_declared_is_told(
    url: str, tmp_path: Path, model: str, out: Mapping[str, str], words: str
) -> None:
    ((name, type_),) = out.items()
    node = f'{{server: triton, url: "{url}", model: {model}, in: {{x: x}}, out: {{{name}: "{type_}"}}}}'
    ((status, said),) = ask_node(tmp_path, node, X, output=name)
    assert status == 500
    assert "node `score`" in said["error"]
    assert words in said["error"]


def test_more_rows_than_it_takes_at_once_are_told(url: str) -> None:
    with pytest.raises(ServerFaultError, match=r"answered 400: .*batch-size must be <= 8"):
        load(url, "plain")({"x": np.zeros((9, 3), np.float32)})


# --- Where it is not ---------------------------------------------------------------------------------


def test_one_that_starts_late_or_dies_during_a_request_is_told_and_asked_again(
    programs: Path, tmp_path: Path
) -> None:
    repository, ports = write_repository(tmp_path / "models", "slow", "plain"), free_ports(3)
    address = f"http://{HOST}:{ports[0]}"
    run, hasty = load(address, "slow"), load(address, "slow", timeout_ms=300)
    with pytest.raises(ServerFaultError, match="refuses connections"):
        run({"x": X})
    with serving(programs, repository, ports):
        await_ready(f"{address}/v2/health/ready")
        np.testing.assert_array_equal(run({"x": X / 100})["y"], X / 100)
        with pytest.raises(ServerFaultError, match="gave no answer in time"):
            hasty({"x": X / 6})
        caught: list[ServerFaultError] = []

        def ask_long() -> None:
            with pytest.raises(ServerFaultError) as told:
                run({"x": X * 10})
            caught.append(told.value)

        asking = threading.Thread(target=ask_long)
        asking.start()
        time.sleep(0.5)
    asking.join(30)
    (told,) = caught
    assert str(told) == "(NVIDIA Triton) closed the connection before its answer was whole"
    with serving(programs, repository, ports):
        await_ready(f"{address}/v2/health/ready")
        np.testing.assert_array_equal(run({"x": X / 100})["y"], X / 100)
