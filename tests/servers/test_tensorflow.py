"""Nodes that ask TensorFlow Serving's REST API: real SavedModels behind a stand-in, as no registry has its binary."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Mapping
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
    post_until_served,
    started,
)
from graphc.artefacts.saved_model import read_saved_model
from graphc.bench.serve import serve
from graphc_components.datatypes import bytes_array
from graphc_runtimes.errors import ServerFaultError
from graphc_runtimes.execute import Runner
from graphc_runtimes.region import Declared
from server_environments import CACHE, make_environment

pytestmark = [pytest.mark.slow, pytest.mark.heavy]

HERE: Final = Path(__file__).parent / "tensorflow"
ROW: Final = {"y": Declared("FP32", ("batch", 3))}
X: Final = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
QUIET: Final = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

CONFIG: Final = """
model_config_list {
  config {
    name: "scorer"
    base_path: "FOLDER/scorer"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 1 versions: 2 } }
    version_labels { key: "stable" value: 1 }
  }
}
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return make_environment(CACHE / "servers" / "tensorflow", HERE / "requirements.txt") / "bin" / "python"


@pytest.fixture(scope="module")
def models(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([python, HERE / "make_models.py", folder], check=True, env=os.environ | QUIET)
    return folder


@pytest.fixture(scope="module")
def url(python: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "models.config").write_text(CONFIG.replace("FOLDER", str(models)))
    rest, rpc = free_ports(2)
    told = {"rest_api_port": rest, "port": rpc, "model_config_file": "models.config"}
    command = [str(python), str(HERE / "server.py"), *(f"--{name}={value}" for name, value in told.items())]
    with started(command, folder, QUIET):
        await_ready(f"http://{HOST}:{rest}/v1/models/scorer")
        yield f"http://{HOST}:{rest}"


def load(url: str, out: Mapping[str, Declared] = ROW, **more: Any) -> Runner:
    return framework_servers.load("tensorflow", url, more.pop("model", "scorer"), out, **more)


BESIDE: Final = (
    HEADER
    + """
servers:
  boxes: {kind: tensorflow, image: "registry.example.com/serving:2.19", models: models}
nodes:
  scorer: {server: boxes, in: {x: x}, out: {y: "FP32[batch, 3]"}}
  stable: {server: boxes, model: scorer, parameters: {label: stable}, in: {x: x}, out: {y: "FP32[batch, 3]"}}
  average: {component: mean, in: [scorer, stable]}
outputs: {average: average}
"""
)


def test_a_run_starts_it_on_the_folder_that_its_configuration_names_in_the_container(
    python: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models, tmp_path / "models")
    (tmp_path / "models" / "models.config").write_text(CONFIG.replace("FOLDER", "/mnt/graphc/server-boxes"))
    (tmp_path / "graph.yaml").write_text(BESIDE)
    program = tmp_path / "bin" / "tensorflow_model_server"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{python}" "{HERE / "server.py"}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    with serve(str(tmp_path / "graph.yaml")) as served:
        assert_rows(post_until_served(served.url, X), {"average": 2.5 * X})
        os.kill(find_process("tensorflow/server.py", "--rest_api_port"), signal.SIGKILL)
        assert_rows(post_until_served(served.url, X), {"average": 2.5 * X})


def test_versions_and_labels_are_asked_for(url: str) -> None:
    np.testing.assert_array_equal(load(url)({"x": X})["y"], 3 * X)
    np.testing.assert_array_equal(load(url, version="1")({"x": X})["y"], 2 * X)
    np.testing.assert_array_equal(load(url, parameters={"label": "stable"})({"x": X})["y"], 2 * X)


def test_a_signature_of_several_outputs_is_asked_for(url: str) -> None:
    types = {"total": "FP32", "shouted": "BYTES", "wide": "INT64", "positive": "BOOL"}
    out = {name: Declared(each, ("batch",)) for name, each in types.items()}
    inputs = {"x": X, "text": bytes_array([b"one", "ä".encode()], (2,)), "wide": np.array([2**53 + 1, -5])}
    found = load(url, out, parameters={"signature": "describe"})(inputs)
    np.testing.assert_array_equal(found["total"], [18, 45])
    assert found["shouted"].tolist() == [b"ONE", "ä".encode()]
    np.testing.assert_array_equal(found["wide"], [2**53 + 2, -4])
    np.testing.assert_array_equal(found["positive"], [True, False])


FAULTS: Final = [
    ("model: scroer", "answered 404: Servable not found for request: Latest(scroer)"),
    ('version: "7"', "answered 404: Servable not found for request: Specific(scorer, 7)"),
    ("parameters: {label: best}", "answered 404: Unrecognized servable version label: best"),
    ("parameters: {signature: other}", 'answered 400: Serving signature name: "other" not found'),
]


@pytest.mark.parametrize(("asked", "words"), FAULTS, ids=[each for each, _ in FAULTS])
def test_what_it_refuses_names_node_and_server(url: str, tmp_path: Path, asked: str, words: str) -> None:
    model = "" if asked.startswith("model") else "model: scorer, "
    more = f"{model}{asked}"
    node = f'{{server: tensorflow, url: "{url}", {more}, in: {{x: x}}, out: {{y: "FP32[batch, 3]"}}}}'
    ((status, said),) = ask_node(tmp_path, node, X)
    assert status == 500
    assert f"node `score`: its server (TensorFlow Serving) {words}" in said["error"]
    np.testing.assert_array_equal(load(url)({"x": X})["y"], 3 * X)


def test_a_wrong_datatype_is_told(url: str) -> None:
    with pytest.raises(ServerFaultError, match="answered 400"):
        load(url)({"x": bytes_array([b"a", b"b", b"c"], (1, 3))})


LIST: Final = """
import json, sys
import tensorflow as tf
types = {"float32": "FP32", "string": "BYTES", "int64": "INT64", "bool": "BOOL"}
found = {}
for name, each in tf.saved_model.load(sys.argv[1]).signatures.items():
    sides = each.structured_input_signature[1], each.structured_outputs
    found[name] = [{key: [types[t.dtype.name], t.shape.as_list()] for key, t in side.items()} for side in sides]
print(json.dumps(found))
"""


def test_graphc_reads_the_signatures_that_tensorflow_itself_has(python: Path, models: Path) -> None:
    version = models / "scorer" / "2"
    told = subprocess.run(
        [python, "-c", LIST, version], check=True, env=os.environ | QUIET, capture_output=True, text=True
    )
    with (version / "saved_model.pb").open("rb") as file:
        found = read_saved_model(file)
    mine = {
        name: [
            {key: [each.datatype, list(each.shape or ())] for key, each in side.items()}
            for side in (signature.inputs, signature.outputs)
        ]
        for name, signature in found.items()
        if not name.startswith("__")
    }
    assert mine == json.loads(told.stdout)
    assert mine.keys() == {"serving_default", "describe"}
