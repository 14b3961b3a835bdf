"""A real MLServer process with nothing but environment variables, called as the executor calls it."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import base64
import gzip
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

import grpc
import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

SUPPORT: Final = Path(__file__).parents[1] / "support"

Json = dict[str, object]
Build = Callable[..., Json]

CODE: Final = """
import time
import numpy as np
from names import NAMES

def to_label(p, x):
    if (x == 13).any():
        raise ValueError("thirteen in " + __file__)
    if (x == 77).any():
        time.sleep(2)
    return {"label": np.array(NAMES)[p.argmax(axis=1)]}
"""


MODEL: Final = """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse

class Shout(MLModel):
    async def load(self):
        self.mark = self.settings.parameters.extra.get("mark")
        return self.mark is not None

    async def predict(self, payload):
        label, scaled = payload.inputs
        shouts = [text.upper() + self.mark for text in StringCodec.decode_input(label)]
        means = NumpyCodec.decode_input(scaled).mean(axis=1)
        outputs = [StringCodec.encode_output("shout", shouts), NumpyCodec.encode_output("mean", means)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [cast("int", each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


STARTS: Final = {
    "plane": ("-m", "graphc_runtimes"),
    "stock": ("-c", "from mlserver.cli import main; main()", "start"),
}
"""Our own data plane, and MLServer as it comes: what they answer is the same."""

WITH_CUDA: Final = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
from fake_cuda import having_cuda
with having_cuda():
    runpy.run_module("graphc_runtimes", run_name="__main__", alter_sys=True)
"""
"""Ours, with an onnxruntime that says it has CUDA."""


class Server:
    """A running server: its ports and its log."""

    def __init__(self, folder: Path, region: Json, start: str = "plane", **variables: str) -> None:
        self.http, self.grpc, self.metrics = _free_ports(3)
        self.log = folder / "log.txt"
        empty = folder / "empty"
        empty.mkdir(parents=True)
        environment = os.environ | {
            "GRAPHC_REGION": json.dumps(region),
            "MLSERVER_MODEL_IMPLEMENTATION": "graphc_runtimes.RegionModel",
            "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION": "graphc_runtimes.RegionRepository",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_GZIP_ENABLED": "false",
            "MLSERVER_METRICS_DIR": str(folder),
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(self.http),
            "MLSERVER_GRPC_PORT": str(self.grpc),
            "MLSERVER_METRICS_PORT": str(self.metrics),
            "MLSERVER_MODEL_NAME": "unit",
            "PREDICTIVE_UNIT_ID": "unit",
            "GRAPHC_THREADS": "1",
            **variables,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *(STARTS.get(start) or ("-c", WITH_CUDA, SUPPORT)), empty],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Wait until the server says that it is ready."""
        for _ in range(600):
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.get("/v2/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        """End the process, and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def get(self, path: str) -> httpx.Response:
        """Get a path."""
        return httpx.get(f"http://127.0.0.1:{self.http}{path}", timeout=30)

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
        """Post JSON to a path."""
        url = f"http://127.0.0.1:{self.http}{path}"
        return httpx.post(url, json=body, headers=headers or {}, timeout=30)


@pytest.fixture(scope="module")
def artifacts(
    tmp_path_factory: pytest.TempPathFactory,
    write_double: Callable[[Path], None],
    write_triple: Callable[[Path], None],
    write_classifier: Callable[..., None],
) -> Path:
    root = tmp_path_factory.mktemp("artifacts")
    for name in ("scale", "lr", "label", "shout", "silent"):
        (root / name).mkdir()
    write_double(root / "scale" / "model.onnx")
    (root / "scale" / "cpu").mkdir()
    write_triple(root / "scale" / "cpu" / "small.onnx")
    write_classifier(root / "lr" / "lr.joblib")
    (root / "label" / "post.py").write_text(CODE)
    (root / "label" / "names.py").write_text("NAMES = ['low', 'high']\n")
    settings = {"implementation": "model.Shout", "parameters": {"extra": {"mark": "!"}}}
    (root / "shout" / "model-settings.json").write_text(json.dumps(settings))
    for name in ("shout", "silent"):
        (root / name / "model.py").write_text(MODEL)
    return root


@pytest.fixture(scope="module", params=["plane", pytest.param("stock", marks=pytest.mark.slow)])
def start(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(
    build: Build, node: Build, artifacts: Path, tmp_path_factory: pytest.TempPathFactory, start: str
) -> Iterator[Server]:
    """Serve a whole graph in one unit: ONNX, scikit-learn, a component and the user's own Python."""
    label = {"label": {"datatype": "BYTES", "shape": ["batch"]}}
    nodes = [
        node("scale", {"X": "x"}, {"Y": "scale.Y"}, kind="model", framework="onnx", path="scale/model.onnx"),
        node("lr", {"X": "scale.Y"}, {"predict_proba": "lr.p"}, kind="model", framework="sklearn", path="lr"),
        node(
            "vote",
            {"0": "lr.p", "1": "lr.p"},
            {"output": "vote.output"},
            kind="component",
            component="mean",
            parameters={},
        ),
        node(
            "label",
            {"p": "vote.output", "x": "x"},
            {"label": "label.label"},
            kind="python",
            entry="post:to_label",
            path="label",
            declares=label,
        ),
    ]
    reads = {"label": "label.label", "scaled": "scale.Y"}
    outputs = {"shout": "shout.shout", "mean": "shout.mean"}
    nodes.append(node("shout", reads, outputs, kind="python", entry="model:Shout", path="shout"))
    answers = {
        "vote.output": "score: FP64[batch, 2]",
        "label.label": "label: BYTES[batch]",
        "scale.Y": "scaled: FP32[batch, 2]",
        "shout.shout": "shout: BYTES[batch, 1]",
        "shout.mean": "mean: FP32[batch, 1]",
    }
    region = build(nodes, takes=["x: FP32[batch, 2]"], answers=answers)
    yield from _serve(tmp_path_factory.mktemp("whole"), region, start, GRAPHC_ARTIFACTS=str(artifacts))


@pytest.fixture(scope="module")
def inner(
    build: Build, node: Build, tmp_path_factory: pytest.TempPathFactory, start: str
) -> Iterator[Server]:
    """Serve a unit inside a graph: it combines two messages, chooses by a header, and answers in base64."""
    parameters = {"name": "X-Tier", "equals": ["gold", "silver"], "branches": 2}
    nodes = [
        node(
            "vote",
            {"0": "a.p", "1": "b.p"},
            {"output": "vote.output"},
            kind="component",
            component="mean",
            parameters={},
        ),
        node(
            "pick",
            {},
            {"choice": "pick.choice"},
            kind="choice",
            router="header",
            per="request",
            parameters=parameters,
        ),
    ]
    answers = {
        "vote.output": "vote.output: FP32[batch, 2]",
        "n": "n: INT64[batch]",
        "pick.choice": "pick.choice: INT32[?]",
    }
    takes = ["a.p: FP32[batch, 2]", "b.p: FP32[batch, 2]", "n: INT64[batch]"]
    route = {"choice": "pick.choice", "children": {"0": 0, "1": 1}}
    region = build(
        nodes, takes=takes, answers=answers, inputs=["n: INT64[batch]"], wire="base64", route=route
    )
    yield from _serve(tmp_path_factory.mktemp("inner"), region, start)


@pytest.fixture(scope="module")
def preferring(
    build: Build, node: Build, artifacts: Path, tmp_path_factory: pytest.TempPathFactory, start: str
) -> Iterator[Server]:
    """Serve two models that prefer a GPU, where there is none."""
    model = {"kind": "model", "framework": "onnx", "path": "scale/model.onnx"}
    small = {"cpu_path": "scale/cpu/small.onnx"}
    nodes = [
        node("a", {"X": "x"}, {"Y": "a.Y"}, **model),
        node("b", {"X": "a.Y"}, {"Y": "b.Y"}, **model, **small),
    ]
    region = build(nodes, takes=["x: FP32[batch, 2]"], answers={"b.Y": "y: FP32[batch, 2]"})
    variables = {"GRAPHC_ARTIFACTS": str(artifacts), "GRAPHC_DEVICE": "prefer-cuda"}
    yield from _serve(tmp_path_factory.mktemp("preferring"), region, start, **variables)


def _serve(folder: Path, region: Json, start: str, **variables: str) -> Iterator[Server]:
    server = Server(folder, region, start, **variables)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


# --- A whole graph, as clients call it -----------------------------------------------------------------

EXPECTED: Final = {
    "label": ["low", "high"],
    "scaled": [0.0, 2.0, 4.0, 6.0],
    # MLServer's codecs make a column of what has one dimension.
    "shout": ["LOW!", "HIGH!"],
    "mean": [1.0, 5.0],
}
NAMES: Final = ("unit", "graph")


def _request(
    *data: float, shape: Sequence[int] | None = None, datatype: str = "FP32", name: str = "x"
) -> Json:
    size = list(shape or (len(data) // 2, 2))
    return {"inputs": [{"name": name, "datatype": datatype, "shape": size, "data": list(data)}]}


def _outputs(answer: Json) -> dict[str, Json]:
    return {str(each["name"]): each for each in cast("list[Json]", answer["outputs"])}


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_answers_by_both_of_its_names(whole: Server, name: str) -> None:
    body = _request(0.0, 1.0, 2.0, 3.0) | {"id": "7", "parameters": {"tier": "gold"}}
    response = whole.post(f"/v2/models/{name}/infer", body)
    assert response.status_code == 200, response.text
    answer = cast("Json", response.json())
    assert {key: answer[key] for key in ("model_name", "id", "parameters")} == {
        "model_name": name,
        "id": "7",
        "parameters": {"tier": "gold"},
    }
    outputs = _outputs(answer)
    assert list(outputs) == ["score", "label", "scaled", "shout", "mean"]
    assert {each: outputs[each]["data"] for each in EXPECTED} == EXPECTED
    assert (outputs["score"]["shape"], outputs["score"]["datatype"]) == ([2, 2], "FP64")
    scores = np.array(outputs["score"]["data"]).reshape(2, 2)
    assert scores.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert scores.argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_metadata_and_health_are_there_by_both_names(whole: Server, name: str) -> None:
    assert whole.get(f"/v2/models/{name}/ready").status_code == 200
    metadata = cast("Json", whole.get(f"/v2/models/{name}").json())
    assert (metadata["name"], metadata["platform"]) == (name, "graphc")
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert metadata["outputs"] == [
        {"name": "score", "datatype": "FP64", "shape": [-1, 2]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "scaled", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "shout", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "mean", "datatype": "FP32", "shape": [-1, 1]},
    ]


def test_another_name_is_not_found(whole: Server) -> None:
    response = whole.post("/v2/models/other/infer", _request(0.0, 1.0))
    error = str(cast("Json", response.json())["error"]).replace("`", "").lower()
    assert (response.status_code, error) == (404, "model other not found")


def test_a_batch_without_rows_has_an_answer_without_rows(whole: Server) -> None:
    response = whole.post("/v2/models/graph/infer", _request())
    assert response.status_code == 200, response.text
    outputs = _outputs(cast("Json", response.json()))
    assert {name: (each["shape"], each["data"]) for name, each in outputs.items()} == {
        "score": ([0, 2], []),
        "label": ([0], []),
        "scaled": ([0, 2], []),
        "shout": ([0, 1], []),
        "mean": ([0, 1], []),
    }


def test_answers_are_never_compressed(whole: Server) -> None:
    response = whole.post("/v2/models/graph/infer", _request(*[1.0] * 4000), {"Accept-Encoding": "gzip"})
    assert response.status_code == 200
    assert "content-encoding" not in response.headers


ERRORS: Final[dict[str, tuple[Json, int, str]]] = {
    "missing": ({"inputs": []}, 400, "unit `unit`: the request has no tensor `x`"),
    "unknown": (_request(1.0, 2.0, name="y"), 400, "unit `unit`: the graph has no input `y`"),
    "datatype": (_request(1.0, 2.0, datatype="FP64"), 400, "unit `unit`: tensor `x` is FP64, not FP32"),
    "shape": (
        _request(1.0, 2.0, 3.0, shape=[1, 3]),
        400,
        "unit `unit`: tensor `x` has shape [1, 3], not [batch=1, 2]",
    ),
    "length": (
        _request(1.0, 2.0, shape=[2, 2]),
        400,
        "unit `unit`: tensor `x` has 2 elements, which is not the shape [2, 2]",
    ),
    "node": (_request(13.0, 0.0), 500, "node `label` failed: ValueError: thirteen in ..."),
    "model": (_request(3e38, 0.0), 500, "node `lr` failed: ValueError: Input X contains infinity"),
}


@pytest.mark.parametrize("verb", ["infer", "aggregate"])
@pytest.mark.parametrize("case", ERRORS)
def test_an_error_says_what_is_wrong_and_whose_mistake_it_is(whole: Server, case: str, verb: str) -> None:
    body, status, message = ERRORS[case]
    response = whole.post(f"/v2/models/graph/{verb}", [body] if verb == "aggregate" else body)
    error = str(cast("Json", response.json())["error"])
    assert (response.status_code, error[: len(message)]) == (status, message)
    assert "/" not in error
    assert "Traceback" not in error


def test_health_checks_do_not_wait_for_a_node(whole: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(whole.post, "/v2/models/graph/infer", _request(77.0, 0.0))
        time.sleep(0.5)
        start = time.monotonic()
        assert whole.get("/v2/health/ready").status_code == 200
        assert time.monotonic() - start < 1
        assert not slow.done()
        assert slow.result().status_code == 200


# tritonclient and MLServer describe the same messages to protobuf, which one process cannot bear.
GRPC_CLIENT: Final = """
import json, sys
import numpy as np
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

address, name, datatype, data = sys.argv[1:]
array = np.array(json.loads(data), dtype={"FP32": np.float32, "FP64": np.float64}[datatype])
with grpcclient.InferenceServerClient(address) as client:
    tensor = grpcclient.InferInput("x", array.shape, datatype)
    tensor.set_data_from_numpy(array)
    try:
        result = client.infer(name, [tensor])
        labels = [label.decode() for label in result.as_numpy("label")]
        print(json.dumps([client.is_model_ready(name), labels, result.as_numpy("scaled").tolist()]))
    except InferenceServerException as error:
        print(json.dumps([error.status(), error.message()]))
"""


METHODS: Final = {
    "ServerMetadata": b"",
    "RepositoryIndex": b"",
    "RepositoryModelLoad": b"\x12\x05graph",
    "RepositoryModelUnload": b"\x12\x05graph",
    "ModelStreamInfer": b"\x0a\x05graph",
    "ModelMetadata": b"\x0a\x05graph",
    "ModelReady": b"\x0a\x05graph",
    "ServerLive": b"",
    "ServerReady": b"",
}
"""Every method but ModelInfer, with a message that names the model where there is one."""


def _call_grpc(server: Server, *arguments: str) -> object:
    command = [sys.executable, "-c", GRPC_CLIENT, f"127.0.0.1:{server.grpc}", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout)


@pytest.mark.parametrize("name", NAMES)
def test_grpc_answers_by_both_names(whole: Server, name: str) -> None:
    answer = _call_grpc(whole, name, "FP32", "[[0.0, 1.0], [2.0, 3.0]]")
    assert answer == [True, ["low", "high"], [[0.0, 2.0], [4.0, 6.0]]]


def test_grpc_errors_have_the_status_of_whose_mistake_it_is(whole: Server) -> None:
    assert _call_grpc(whole, "graph", "FP64", "[[1.0, 1.0]]") == [
        "StatusCode.INVALID_ARGUMENT",
        "unit `unit`: tensor `x` is FP64, not FP32",
    ]
    assert _call_grpc(whole, "graph", "FP32", "[[13.0, 0.0]]") == [
        "StatusCode.INTERNAL",
        "node `label` failed: ValueError: thirteen in ...",
    ]


def test_no_call_over_grpc_ends_what_a_unit_serves(whole: Server, start: str) -> None:
    if start != "plane":
        pytest.skip("MLServer's own server lets clients unload models")
    called: dict[str, tuple[str, object]] = {}
    with grpc.insecure_channel(f"127.0.0.1:{whole.grpc}") as channel:
        for method, raw in METHODS.items():
            call = cast("Any", channel.unary_unary)(f"/inference.GRPCInferenceService/{method}")
            try:
                called[method] = "OK", call(raw, timeout=30)
            except grpc.RpcError as error:
                called[method] = cast("Any", error).code().name, cast("Any", error).details()
    refused = {method: found for method, found in called.items() if found[0] != "OK"}
    fixed = ("UNIMPLEMENTED", "the models of this unit are fixed: none is loaded or unloaded")
    streams = ("UNIMPLEMENTED", "the models of this unit do not answer in streams")
    loading = {"RepositoryModelLoad": fixed, "RepositoryModelUnload": fixed}
    assert refused == {**loading, "ModelStreamInfer": streams}
    assert b"graph" in cast("bytes", called["RepositoryIndex"][1])
    assert b"scaled" in cast("bytes", called["ModelMetadata"][1])
    # One field, which is true.
    for method in ("ServerLive", "ServerReady", "ModelReady"):
        assert called[method][1] == b"\x08\x01"
    assert whole.post("/v2/models/graph/infer", _request(0.0, 1.0)).status_code == 200


# --- A unit inside a graph, as the executor calls it ---------------------------------------------------


def _raw(name: str, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", datatype: str) -> Json:
    data = base64.b64encode(array.tobytes()).decode()
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(array.shape),
        "data": [data],
        "parameters": {"encoding": "base64"},
    }


def _children() -> list[Json]:
    """Return the answers of two children; both carry `n`, which is beyond what a float64 can hold."""
    n = _raw("n", np.array([9007199254740993]), "INT64")
    plain: Json = {"name": "b.p", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.5]}
    return [
        {
            "model_name": "a",
            "id": "7",
            "parameters": {"tier": "x"},
            "outputs": [_raw("a.p", np.ones((1, 2), np.float32), "FP32"), n],
        },
        {"model_name": "b", "id": "8", "parameters": {"tier": "y"}, "outputs": [plain, n]},
    ]


@pytest.mark.parametrize("name", NAMES)
def test_answers_of_children_are_combined_and_carried_on_exactly(inner: Server, name: str) -> None:
    response = inner.post(f"/v2/models/{name}/aggregate", _children(), {"x-tier": "silver"})
    assert response.status_code == 200, response.text
    assert response.json() == {
        "model_name": name,
        "id": "7",
        "parameters": {"tier": "x"},
        "outputs": [
            _raw("vote.output", np.full((1, 2), 0.75, np.float32), "FP32"),
            _raw("n", np.array([9007199254740993]), "INT64"),
            _raw("pick.choice", np.array([1], np.int32), "INT32"),
        ],
    }


@pytest.mark.parametrize("name", NAMES)
def test_infer_answers_as_aggregate_does(inner: Server, name: str) -> None:
    first, second = _children()
    tensors = [*cast("list[Json]", first["outputs"]), cast("list[Json]", second["outputs"])[0]]
    body = {"id": "7", "parameters": {"tier": "x"}, "inputs": tensors}
    answer = inner.post(f"/v2/models/{name}/infer", body, {"X-Tier": "gold"}).json()
    combined = inner.post(f"/v2/models/{name}/aggregate", _children(), {"X-Tier": "gold"}).json()
    assert answer == combined


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("tier", "child"), [("gold", 0), ("silver", 1)])
def test_a_route_is_an_array_of_one_child(inner: Server, name: str, tier: str, child: int) -> None:
    first, second = _children()
    tensors = [*cast("list[Json]", first["outputs"]), cast("list[Json]", second["outputs"])[0]]
    response = inner.post(f"/v2/models/{name}/route", {"inputs": tensors}, {"x-tier": tier})
    assert (response.status_code, response.json()) == (200, [child])
    refused = inner.post(f"/v2/models/{name}/route", {"inputs": tensors}, {"x-tier": "tin"})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("node `pick`: no branch is for this request")


def test_a_body_that_is_not_a_message_is_refused(inner: Server) -> None:
    assert inner.post("/v2/models/unit/aggregate", []).json() == {
        "error": "`/aggregate` takes a JSON array of V2 messages that is not empty"
    }
    response = httpx.post(f"http://127.0.0.1:{inner.http}/v2/models/unit/route", content=b"{")
    assert (response.status_code, response.json()) == (
        400,
        {"error": "the body is not JSON: it ends too early"},
    )


def test_a_body_may_be_compressed(inner: Server) -> None:
    raw = gzip.compress(json.dumps(_children()).encode())
    url = f"http://127.0.0.1:{inner.http}/v2/models/unit/aggregate"
    response = httpx.post(url, content=raw, headers={"Content-Encoding": "gzip", "X-Tier": "gold"})
    assert response.status_code == 200, response.text


def test_metadata_tells_the_unit_from_the_graph(inner: Server) -> None:
    unit = cast("Json", inner.get("/v2/models/unit").json())
    graph = cast("Json", inner.get("/v2/models/graph").json())
    assert [each["name"] for each in cast("list[Json]", unit["inputs"])] == ["a.p", "b.p", "n"]
    assert [each["name"] for each in cast("list[Json]", graph["inputs"])] == ["n"]


# --- What must not start -------------------------------------------------------------------------------


ONNX: Final[Json] = {"kind": "model", "framework": "onnx", "path": "none.onnx"}
SILENT: Final[Json] = {"kind": "python", "entry": "model:Shout", "path": "silent"}
STRANGE: Final[Json] = {"kind": "python", "entry": "pathlib:Path", "path": None}


@pytest.mark.parametrize(
    ("fields", "version", "message"),
    [
        (ONNX, 2, "graphc: graphc: Input should be 1"),
        (ONNX, 1, "graphc: node `m`: there is no `none.onnx` in"),
        (SILENT, 1, "graphc: node `m`: `model:Shout` says that it did not load"),
        (
            STRANGE,
            1,
            "graphc: node `m`: `pathlib:Path` is a class without `__call__`, and not one of MLServer's models",
        ),
    ],
)
def test_a_server_that_cannot_serve_ends_with_the_reason(
    build: Build, node: Build, artifacts: Path, tmp_path: Path, fields: Json, version: int, message: str
) -> None:
    region = build([node("m", {"X": "x"}, {"Y": "m.Y"}, **fields)], takes=["x: FP32[batch, 2]"])
    server = Server(tmp_path, region | {"graphc": version}, GRAPHC_ARTIFACTS=str(artifacts))
    try:
        assert server.process.wait(240) == 1
    finally:
        server.stop()
    assert server.log.read_text().splitlines()[-1].startswith(message)


# --- A GPU that is preferred, and not there ------------------------------------------------------------


def test_a_unit_that_goes_without_a_gpu_says_so(preferring: Server) -> None:
    metadata = preferring.get("/v2/models/unit").json()
    assert metadata["parameters"]["graphc_device"] == "cpu"
    reason = metadata["parameters"]["graphc_device_fallback"]
    assert "CUDAExecutionProvider" in reason
    assert preferring.log.read_text().count(f"no GPU, so models run on the CPU: {reason}") == 1
    page = httpx.get(f"http://127.0.0.1:{preferring.metrics}/metrics", timeout=30).text
    (line,) = (each for each in page.splitlines() if each.startswith("graphc_device_fallback{"))
    assert line.endswith(" 1.0")


def test_a_node_that_runs_its_model_for_the_cpu_says_so(preferring: Server) -> None:
    told = "scale/cpu/small.onnx"
    metadata = preferring.get("/v2/models/unit").json()
    assert metadata["parameters"]["graphc_cpu_models"] == f"b: {told}"
    assert preferring.log.read_text().count(f"node `b` runs its model for the CPU, `{told}`") == 1
    page = httpx.get(f"http://127.0.0.1:{preferring.metrics}/metrics", timeout=30).text
    (line,) = (each for each in page.splitlines() if each.startswith("graphc_cpu_model{"))
    assert 'node="b"' in line
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    (answer,) = preferring.post("/v2/models/unit/infer", {"inputs": [x]}).json()["outputs"]
    assert answer["data"] == [6.0, 12.0]


@pytest.mark.slow
def test_a_node_that_runs_in_part_on_the_cpu_says_so(build: Build, node: Build, tmp_path: Path) -> None:
    write_scaler(tmp_path / "scaler.onnx")
    region = build(
        [node("a", {"X": "x"}, {"Y": "a.Y"}, kind="model", framework="onnx", path="scaler.onnx")],
        takes=["x: FP32[batch, 2]"],
        answers={"a.Y": "y: FP32[batch, 2]"},
    )
    server = Server(
        tmp_path / "server", region, "cuda", GRAPHC_ARTIFACTS=str(tmp_path), GRAPHC_DEVICE="prefer-cuda"
    )
    try:
        server.wait()
        told = server.get("/v2/models/unit").json()["parameters"]
        page = httpx.get(f"http://127.0.0.1:{server.metrics}/metrics", timeout=30).text
    finally:
        server.stop()
    assert told == {"graphc_device": "cuda", "graphc_cpu_operators": "a: 1 ai.onnx.ml.Scaler"}
    (line,) = (each for each in page.splitlines() if each.startswith("graphc_cpu_operators{"))
    assert 'node="a"' in line
    assert line.endswith(" 1.0")


def write_scaler(path: Path) -> None:
    """Write a model as scikit-learn's scalers are converted, for which GPUs have no kernel."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("X", "Y")]
    scale = helper.make_node("Scaler", ["X"], ["Y"], domain="ai.onnx.ml", offset=[1.0], scale=[3.0])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([scale], "scaler", infos[:1], infos[1:])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def test_a_unit_that_prefers_nothing_says_nothing_of_it(whole: Server) -> None:
    assert "graphc_device" not in whole.get("/v2/models/unit").text
    page = httpx.get(f"http://127.0.0.1:{whole.metrics}/metrics", timeout=30).text
    assert "graphc_device_fallback" not in page
