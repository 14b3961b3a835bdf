"""The images of units, built of the Dockerfiles as they stand and run as manifests say, against `graphc run`.

A first build takes minutes, and most of its layers are kept (`built_images`). Without podman, runc and debootstrap, in
the hands of root, these tests are skipped.
"""

import importlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
import yaml
from built_images import Images, find_missing, open_images, run_pod
from graphc.unchecked import Data, fields, objects, text
from onnx import TensorProto, helper
from running_servers import GRAPHC, running

# They carry no types.
JOBLIB: Final[Any] = importlib.import_module("joblib")
LIGHTGBM: Final[Any] = importlib.import_module("lightgbm")
TRITON: Final[Any] = importlib.import_module("tritonclient.grpc")
NEIGHBORS: Final[Any] = importlib.import_module("sklearn.neighbors")

ROOT: Final = Path(__file__).parents[2]
TABLE: Final = ROOT / "graphs" / "diabetes-table"
VOTE: Final = ROOT / "graphs" / "cancer-vote"
SOMEBODY: Final = "8888"
"""The user that an installation of Seldon's gives to containers; the images know none of that number."""

Json = dict[str, Any]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

PATIENTS: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: patients}
inputs:
  age: "FP32[batch]"
  sex: "BYTES[batch]"
  bmi: "FP32[batch]"
  pressure: "FP32[batch]"
  ward: "BYTES[batch]"
  name: "BYTES[batch]"
requirements: ["rapidfuzz>=3.9,<4"]
artifacts: STORE
nodes:
  progression:
    model: progression.joblib
    in: {age: age, sex: sex, bmi: bmi, pressure: pressure, ward: ward}
  letters:
    python: "letters:count"
    in: {name: name}
    out: {counts: "FP64[batch, 8]", near: "FP64[batch, 3]"}
  trees: {model: trees.txt, in: {X: letters.near}}
  nearest: {model: nearest.joblib, in: {X: letters.counts}}
outputs: {progression: progression.predict, trees: trees.predict, nearest: nearest.predict}
"""
LETTERS: Final = """\
import numpy as np
from near import nearness


def count(name):
    texts = [each.decode().lower() for each in name]
    counts = np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], dtype=np.float64)
    return {"counts": counts, "near": np.array([nearness(text) for text in texts])}
"""
NEAR: Final = """\
from rapidfuzz import fuzz


def nearness(text):
    return [fuzz.ratio(text, each) / 100 for each in ("abaco", "chloe", "facade")]
"""
NAMES: Final = ["Ábaco", "Chloë", "façade", "hedgehog"]
NEAREST: Final = [
    [1, 1, 1, 0, 0, 0, 0, 0],
    [0, 0, 1, 0, 0, 0, 0, 1],
    [2, 0, 0, 1, 1, 1, 0, 0],
    [0, 0, 0, 1, 2, 0, 2, 2],
]

FOLD: Final = """\
apiVersion: graphc/v1
kind: InferenceGraph
metadata: {name: fold}
inputs: {text: "BYTES[batch]"}
nodes:
  upper: {model: upper.onnx, in: {text: text}}
outputs: {upper: upper}
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    if missing := find_missing():
        pytest.skip(missing)
    with open_images(tmp_path_factory.mktemp("images")) as images:
        yield images


@pytest.fixture(scope="module")
def runtime(images: Images) -> str:
    """Build the project's own image, under the name that graphs without requirements have."""
    (name,) = _image_names(_compiled(VOTE))
    images.build(name, ROOT, ROOT / "runtimes" / "images" / "Dockerfile")
    return name


@pytest.fixture
def store() -> Iterator[str]:
    """Yield the address of a web server that keeps what is put there."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Store) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{id(server)}"
        server.shutdown()
        thread.join()


def test_a_graph_of_all_kinds_answers_in_its_image_as_on_a_laptop(
    images: Images, store: str, tmp_path: Path
) -> None:
    folder = tmp_path / "graph"
    folder.mkdir()
    model = _write_patients(folder, store)
    request = json.loads((TABLE / "request.json").read_text())
    request["inputs"].append({"name": "name", "datatype": "BYTES", "shape": [len(NAMES)], "data": NAMES})

    _graphc(folder, "push", "graph.yaml")
    printed = _graphc(folder, "image", "graph.yaml", "-o", "image")
    manifest = _compiled(folder)
    (name,) = _image_names(manifest)
    assert f"-t {name} image" in printed
    images.build(name, folder / "image", folder / "image" / "Dockerfile")

    with running(("run", "graph.yaml", "--port", "0", "--grpc-port", "0"), folder, "laptop") as program:
        http = int(program.await_line(r"^patients: http://127\.0\.0\.1:(\d+)/")[1])
        grpc = int(program.await_line(r"^gRPC: grpc://127\.0\.0\.1:(\d+)/")[1])
        answers = _ask(http, "patients", request), _ask_grpc(grpc, "patients", request)
    (expected,) = json.loads((TABLE / "expected.json").read_text())["outputs"]
    np.testing.assert_allclose(answers[0]["progression"], expected["data"], rtol=1e-5)
    assert answers[0]["nearest"] == model.predict(np.array(NEAREST, dtype=np.float64)).tolist()
    for user in (None, SOMEBODY):
        with run_pod(images, manifest, tmp_path / f"pod-{user}", user) as pod:
            _check_equal(_ask(pod.http, "patients", request), answers[0])
            _check_equal(_ask_grpc(pod.grpc, "patients", request), answers[1])


def test_an_example_answers_in_the_projects_own_image(images: Images, runtime: str, tmp_path: Path) -> None:
    request = json.loads((VOTE / "request.json").read_text())
    wanted = {
        each["name"]: each["data"] for each in json.loads((VOTE / "expected.json").read_text())["outputs"]
    }
    with run_pod(images, _compiled(VOTE), tmp_path) as pod:
        assert _ask(pod.http, "cancer-vote", request) == wanted
        assert _ask_grpc(pod.grpc, "cancer-vote", request) == wanted


def test_the_image_has_the_locale_that_text_is_normalised_by(
    images: Images, runtime: str, tmp_path: Path
) -> None:
    """Machines without it cannot run such a model: so this one is not held against `graphc run`."""
    ports = [helper.make_tensor_value_info(each, TensorProto.STRING, ["batch"]) for each in ("text", "upper")]
    node = helper.make_node(
        "StringNormalizer", ["text"], ["upper"], case_change_action="UPPER", locale="en_US.UTF-8"
    )
    graph = helper.make_graph([node], "upper", ports[:1], ports[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (tmp_path / "upper.onnx").write_bytes(made.SerializeToString())
    (tmp_path / "graph.yaml").write_text(FOLD)
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["Ábaco", "chloë"]}]}
    with run_pod(images, _compiled(tmp_path), tmp_path / "pod") as pod:
        assert _ask(pod.http, "fold", body) == {"upper": ["ÁBACO", "CHLOË"]}


def _check_equal(found: Json, wanted: Json) -> None:
    """Where the environment chooses the kernels of linear algebra, the last bits may differ."""
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)


def _write_patients(folder: Path, store: str) -> Any:
    """Write the graph, and return its large model."""
    (folder / "graph.yaml").write_text(PATIENTS.replace("STORE", store))
    (folder / "letters.py").write_text(LETTERS)
    (folder / "near.py").write_text(NEAR)
    shutil.copy(TABLE / "models" / "progression.joblib", folder)
    rng = np.random.default_rng(0)
    near = rng.random((200, 3))
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 8}
    data = LIGHTGBM.Dataset(near, (near.sum(axis=1) > 1.5).astype(int))
    LIGHTGBM.train(parameters, data, 10).save_model(folder / "trees.txt")
    counts = rng.integers(0, 4, (250_000, 8)).astype(np.float64)
    model = NEIGHBORS.KNeighborsClassifier(1, algorithm="brute").fit(counts, np.arange(len(counts)) % 1000)
    JOBLIB.dump(model, folder / "nearest.joblib")
    assert (folder / "nearest.joblib").stat().st_size > 15_000_000
    return model


def _graphc(folder: Path, *words: str) -> str:
    done = subprocess.run([*GRAPHC, *words], capture_output=True, text=True, timeout=600, cwd=folder)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def _compiled(folder: Path) -> list[Data]:
    return list(yaml.safe_load_all(_graphc(folder, "compile", "graph.yaml")))


def _image_names(manifest: list[Data]) -> set[str]:
    (deployment,) = (each for each in manifest if each["kind"] == "SeldonDeployment")
    (predictor,) = objects(deployment, "spec", "predictors")
    (component,) = objects(predictor, "componentSpecs")
    spec = fields(component, "spec")
    return {text(each, "image") for kind in ("initContainers", "containers") for each in objects(spec, kind)}


def _ask(port: int, graph: str, body: Json) -> Json:
    answer = httpx.post(f"http://127.0.0.1:{port}/v2/models/{graph}/infer", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return {each["name"]: each["data"] for each in answer.json()["outputs"]}


def _ask_grpc(port: int, graph: str, body: Json) -> Json:
    inputs = list[Any]()
    for each in body["inputs"]:
        tensor = TRITON.InferInput(each["name"], each["shape"], each["datatype"])
        dtype = np.object_ if each["datatype"] == "BYTES" else np.float32
        # What JSON calls null is NaN.
        tensor.set_data_from_numpy(np.array(each["data"], dtype=dtype).reshape(each["shape"]))
        inputs.append(tensor)
    with TRITON.InferenceServerClient(f"127.0.0.1:{port}") as client:
        assert client.is_model_ready(graph)
        answer = client.infer(graph, inputs)
    listed = {each.name: answer.as_numpy(each.name).tolist() for each in answer.get_response().outputs}
    return {name: [_plain(each) for each in values] for name, values in listed.items()}


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


class _Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: Final[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, b"")

    def do_HEAD(self) -> None:
        found = self.kept.get(self.path)
        self._answer(404 if found is None else 200, found or b"", body=False)

    def do_GET(self) -> None:
        found = self.kept.get(self.path)
        self._answer(404 if found is None else 200, found or b"")

    def _answer(self, status: int, content: bytes, *, body: bool = True) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002
