"""Nodes that ask the real TorchServe: its envelopes, versions and refusals, and what happens when it is not there."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import framework_servers
import numpy as np
import pytest
import urllib3
from framework_servers import (
    HEADER,
    HOST,
    ask_node,
    assert_rows,
    await_ready,
    find_process,
    free_ports,
    post_until_served,
    started,
)
from graphc.bench.serve import serve
from graphc_components.datatypes import bytes_array
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import ServerFaultError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import Declared
from server_environments import CACHE, give_up, make_environment

pytestmark = [pytest.mark.slow, pytest.mark.heavy]

HERE: Final = Path(__file__).parent / "torchserve"
ROW: Final = {"y": Declared("FP32", ("batch", 3))}
X: Final = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder of the environment's programs; TorchServe is started by Java."""
    done = subprocess.run(["sh", "-c", "command -v java"], capture_output=True, check=False)
    if done.returncode:
        give_up("Java, which runs TorchServe, is not installed")
    return make_environment(CACHE / "servers" / "torchserve", HERE / "requirements.txt") / "bin"


@pytest.fixture(scope="module")
def store(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store: a handler in two versions and in each envelope, and one of bytes."""
    folder = tmp_path_factory.mktemp("store")
    archive(programs, folder, "bytes", "bytes", "1.0")
    archive(programs, folder, "numbers", "numbers", "1.0")
    archive(programs, folder, "numbers", "numbers", "2.0")
    archive(programs, folder, "rows", "numbers", "1.0")
    archive(programs, folder, "whole", "numbers", "1.0")
    return folder


def archive(programs: Path, folder: Path, name: str, handler: str, version: str) -> None:
    """Make an archive of a model in a version."""
    command = [programs / "torch-model-archiver", "--model-name", name, "--version", version]
    command += ["--handler", HERE / f"handle_{handler}.py", "--export-path", folder, "--force"]
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    subprocess.run(command, check=True, env=os.environ | {"PATH": path})
    # The archiver names it by the model alone.
    (folder / f"{name}.mar").rename(folder / f"{name}-{version}.mar")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def url(programs: Path, store: Path, folder: Path) -> Generator[str]:
    with serving(programs, store, folder, free_ports(6)) as url:
        await_ready(f"{url}/ping")
        yield url


@contextlib.contextmanager
def serving(programs: Path, store: Path, folder: Path, ports: Sequence[int]) -> Generator[str]:
    """Run a TorchServe with one worker a model, as its documentation has it; it may not be ready yet."""
    addresses = zip(("inference", "management", "metrics"), ports[:3], strict=True)
    settings = [f"{name}_address=http://{HOST}:{port}" for name, port in addresses]
    settings += [f"grpc_inference_port={ports[3]}", f"grpc_management_port={ports[4]}"]
    settings += [f"initial_worker_port={ports[5]}", "default_workers_per_model=1"]
    (folder / "config.properties").write_text("\n".join(settings))
    command = [str(programs / "torchserve"), "--start", "--foreground", "--ncs", "--disable-token-auth"]
    command += ["--model-store", str(store), "--models", "all", "--ts-config", "config.properties"]
    with started(command, folder, {"TMPDIR": str(folder)}):
        yield f"http://{HOST}:{ports[0]}"


def load(url: str, model: str, out: Mapping[str, Declared] = ROW, **more: Any) -> Runner:
    return framework_servers.load("torchserve", url, model, out, **more)


# --- What it computes --------------------------------------------------------------------------------

BESIDE: Final = (
    HEADER
    + """
servers:
  boxes:
    kind: torchserve
    image: registry.example.com/torchserve:0.12.0-cpu
    models: models
    env: {TS_SERVICE_ENVELOPE: kservev2}
nodes:
  first: {server: boxes, model: numbers, version: "1.0", in: {x: x}, out: {y: "FP32[batch, 3]"}}
  second: {server: boxes, model: numbers, version: "2.0", in: {x: first}, out: {y: "FP32[batch, 3]"}}
  average: {component: mean, in: [first, second]}
outputs: {second: second, average: average}
"""
)


def test_a_run_starts_it_and_starts_it_anew(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    for version in ("1.0", "2.0"):
        archive(programs, tmp_path / "models", "numbers", "numbers", version)
    (tmp_path / "graph.yaml").write_text(BESIDE)
    monkeypatch.setenv("PATH", os.pathsep.join([str(programs), os.environ["PATH"]]))
    with serve(str(tmp_path / "graph.yaml")) as served:
        assert_rows(post_until_served(served.url, X), {"second": 8 * X, "average": 5 * X})
        os.kill(find_process("org.pytorch.serve.ModelServer", "graphc-run-"), signal.SIGKILL)
        assert_rows(post_until_served(served.url, X), {"second": 8 * X, "average": 5 * X})
    with pytest.raises(AssertionError):
        find_process("org.pytorch.serve.ModelServer", "graphc-run-")


def test_versions_are_asked_for(url: str) -> None:
    np.testing.assert_array_equal(load(url, "numbers", version="1.0")({"x": X})["y"], 2 * X)
    np.testing.assert_array_equal(load(url, "numbers", version="2.0")({"x": X})["y"], 4 * X)


def test_the_v2_envelope_names_outputs_by_inputs_and_flattens_them(url: str) -> None:
    out = {"first": Declared("FP32", ("batch", 3)), "second": Declared("INT32", ("batch",))}
    found = load(url, "numbers", out, version="1.0")({"a": X, "b": np.array([7, 8], np.int64)})
    np.testing.assert_array_equal(found["first"], 2 * X)
    np.testing.assert_array_equal(found["second"], [14, 16])
    texts = load(url, "numbers", {"said": Declared("BYTES", (1,))}, version="1.0")
    assert texts({"text": bytes_array([b"hello"], (1,))})["said"].tolist() == [b"HELLO"]
    with pytest.raises(ArrayError, match="input `text` has 2 texts, and this envelope reads the first alone"):
        texts({"text": bytes_array([b"one", b"two"], (2,))})


@pytest.mark.parametrize("model", ["rows", "whole"])
def test_instances_are_rows(url: str, model: str) -> None:
    run = load(url, model, parameters={"envelope": "instances"})
    np.testing.assert_array_equal(run({"x": X})["y"], 2 * X)


def test_bytes_travel_a_row_a_call(url: str) -> None:
    out = {"length": Declared("INT64", ("batch",)), "first": Declared("BYTES", ("batch",))}
    run = load(url, "bytes", out, parameters={"envelope": "body"})
    found = run({"image": bytes_array([b"\xff\xd8jpeg", b"a", b"bcd"], (3,))})
    assert found["length"].tolist() == [6, 1, 3]
    assert found["first"].tolist() == ["ÿ".encode(), b"a", b"b"]


# --- What it refuses ---------------------------------------------------------------------------------

FAULTS: Final = [
    ("model: nubmers", "answered 404: Model not found: nubmers"),
    ('model: numbers, version: "3.0"', "answered 404: Model version: 3.0 does not exist for model: numbers"),
    ("model: bytes", "answered 503: Prediction failed"),
]


@pytest.mark.parametrize(("asked", "words"), FAULTS, ids=[each for each, _ in FAULTS])
def test_what_it_refuses_names_node_and_server(url: str, tmp_path: Path, asked: str, words: str) -> None:
    node = f'{{server: torchserve, url: "{url}", {asked}, in: {{x: x}}, out: {{y: "FP32[batch, 3]"}}}}'
    (status, said), (again, _) = ask_node(tmp_path, node, X, X)
    assert status == again == 500
    assert f"node `score`: its server (TorchServe) {words}" in said["error"]
    np.testing.assert_array_equal(load(url, "numbers", version="1.0")({"x": X})["y"], 2 * X)


def test_a_request_that_its_handler_refuses_is_told_and_the_next_served(url: str, tmp_path: Path) -> None:
    asked = 'model: numbers, version: "1.0"'
    node = f'{{server: torchserve, url: "{url}", {asked}, in: {{x: x}}, out: {{y: "FP32[batch, 3]"}}}}'
    (status, said), (served, answer) = ask_node(tmp_path, node, -X, X)
    assert status == 500
    assert "node `score`: its server (TorchServe) answered 503: Prediction failed" in said["error"]
    assert served == 200
    assert_rows(answer, {"y": 2 * X})


def test_a_slow_answer_is_given_up(url: str, tmp_path: Path) -> None:
    asked = "model: whole, parameters: {envelope: instances}, timeout: 300ms"
    node = f'{{server: torchserve, url: "{url}", {asked}, in: {{x: x}}, out: {{y: "FP32[batch, 3]"}}}}'
    ((status, said),) = ask_node(tmp_path, node, 1000 * X)
    assert (status, said["error"]) == (500, "node `score` failed: no answer within 300ms")


def test_another_output_than_declared_is_told(url: str, tmp_path: Path) -> None:
    asked = 'model: numbers, version: "1.0"'
    node = f'{{server: torchserve, url: "{url}", {asked}, in: {{x: x}}, out: {{y: "FP32[batch, 4]"}}}}'
    ((status, said),) = ask_node(tmp_path, node, X)
    assert status == 500
    assert "gave an output `y` that has shape [6], not [batch=2, 4]" in said["error"]


def test_strangers_register_no_model(url: str, folder: Path) -> None:
    """It is started without tokens: what keeps strangers from loading code is that no model is loaded on request."""
    found = re.search(r"^management_address=(.+)$", (folder / "config.properties").read_text(), re.MULTILINE)
    assert found is not None
    asked = f"{found[1]}/models?url=numbers-1.0.mar"
    answer = urllib3.request("POST", asked, retries=False, timeout=10)
    assert answer.status == 405, answer.data


# --- Where it is not ---------------------------------------------------------------------------------


def test_one_that_starts_late_or_dies_during_a_request_is_told_and_asked_again(
    programs: Path, store: Path, tmp_path: Path
) -> None:
    ports = free_ports(6)
    address = f"http://{HOST}:{ports[0]}"
    run = load(address, "numbers", version="1.0")
    with pytest.raises(ServerFaultError, match="refuses connections"):
        run({"x": X})
    only = tmp_path / "store"
    only.mkdir()
    (only / "numbers.mar").write_bytes((store / "numbers-1.0.mar").read_bytes())
    caught: list[ServerFaultError] = []

    def ask_long() -> None:
        with pytest.raises(ServerFaultError) as told:
            run({"x": X * 1000})
        caught.append(told.value)

    with serving(programs, only, tmp_path, ports):
        await_ready(f"{address}/ping")
        # It is healthy before its models are loaded, and keeps requests until they are.
        np.testing.assert_array_equal(run({"x": X})["y"], 2 * X)
        asking = threading.Thread(target=ask_long)
        asking.start()
        time.sleep(0.5)
    asking.join(30)
    (told,) = caught
    assert str(told) == "(TorchServe) closed the connection before its answer was whole"
    with serving(programs, only, tmp_path, ports):
        await_ready(f"{address}/ping")
        np.testing.assert_array_equal(run({"x": X})["y"], 2 * X)
