"""Makes the models, requests and right answers that every peer gets: the same bytes wherever it runs."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

OPSET: Final = 17
SIDE: Final = 224
CLASSES: Final = 10

GRAPH: Final = """apiVersion: graphc/v1
kind: InferenceGraph
metadata: {{name: mean}}
inputs: {{x: "FP32[{shape}]"}}
nodes:
  scale: {{model: scale.onnx, in: {{X: x}}}}
  first: {{model: first.onnx, in: {{X: scale.scaled}}}}
  second: {{model: second.onnx, in: {{X: scale.scaled}}}}
  third: {{model: third.onnx, in: {{X: scale.scaled}}}}
  mean: {{component: mean, in: [first.probabilities, second.probabilities, third.probabilities]}}
outputs: {{y: mean}}
"""

FloatArray = NDArray[np.float32]
# onnx, scikit-learn and skl2onnx say little of their types.
helper: Any = onnx.helper
convert: Any = convert_sklearn


@dataclass(frozen=True, slots=True)
class Case:
    """A folder with a graph's files and models, and the rows of a request to it."""

    name: str
    folder: Path
    rows: int

    def request(self, kind: str) -> Path:
        """Return the file of a request: `v2`, or `flat` for servers whose form is their author's."""
        return self.folder / f"{kind}-{self.rows}.json"

    @property
    def graph(self) -> Path:
        """The graph file."""
        return self.folder / "graph.yaml"


def make_cases(folder: Path) -> dict[str, Case]:
    """Write everything, and return the cases by name."""
    iris, image = folder / "iris", folder / "image"
    for each in (iris, image):
        each.mkdir(parents=True, exist_ok=True)
    rows = _write_iris(iris)
    pixels = _write_image(image)
    cases = (Case("batch 1", iris, 1), Case("batch 64", iris, 64), Case("image", image, 1))
    for case in cases:
        _write_requests(case, rows if case.folder == iris else pixels)
    return {case.name: case for case in cases}


def _write_iris(folder: Path) -> FloatArray:
    x, y = cast("tuple[FloatArray, NDArray[np.int64]]", load_iris(return_X_y=True))
    x = x.astype(np.float32)
    scaler: Any = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    models: Mapping[str, Any] = {
        "first": LogisticRegression(max_iter=500).fit(scaled, y),
        "second": RandomForestClassifier(50, random_state=0).fit(scaled, y),
        "third": MLPClassifier((32, 32), max_iter=400, random_state=0).fit(scaled, y),
    }
    _save(convert(scaler, **_options()), folder / "scale.onnx", ["scaled"])
    for name, model in models.items():
        found = convert(model, options={"zipmap": False}, **_options())
        _save(found, folder / f"{name}.onnx", ["label", "probabilities"])
    (folder / "graph.yaml").write_text(GRAPH.format(shape="batch, 4"))
    return x


def _options() -> dict[str, object]:
    return {"initial_types": [("X", FloatTensorType([None, 4]))], "target_opset": OPSET}


def _save(model: onnx.ModelProto, path: Path, outputs: list[str]) -> None:
    names = {old.name: new for old, new in zip(model.graph.output, outputs, strict=True)}
    for node in model.graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
        node.output[:] = [names.get(each, each) for each in node.output]
    for value in model.graph.output:
        value.name = names[value.name]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # The converter states the default domain twice, or in the version of its newest operator.
    versions = {entry.domain: entry.version for entry in model.opset_import} | {"": OPSET}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, each) for domain, each in versions.items())
    path.write_bytes(model.SerializeToString(deterministic=True))


def _write_image(folder: Path) -> FloatArray:
    drawn = np.random.default_rng(0)
    image, table = ["batch", SIDE, SIDE, 3], ["batch", CLASSES]
    mean, spread = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    nodes = [("Sub", ["X", "mean"], "centred"), ("Div", ["centred", "spread"], "scaled")]
    _save_nodes(folder / "scale.onnx", nodes, {"mean": mean, "spread": spread}, (image, image), "scaled")
    for name in ("first", "second", "third"):
        weights = {"axes": drawn.normal(size=(3, CLASSES)).astype(np.float32)}
        chain = [("ReduceMean", ["X"], "pooled"), ("MatMul", ["pooled", "axes"], "logits")]
        chain.append(("Softmax", ["logits"], "probabilities"))
        _save_nodes(folder / f"{name}.onnx", chain, weights, (image, table), "probabilities")
    (folder / "graph.yaml").write_text(GRAPH.format(shape=", ".join(map(str, image))))
    return np.round(drawn.random((4, SIDE, SIDE, 3)), 3).astype(np.float32)


def _save_nodes(
    path: Path,
    nodes: list[tuple[str, list[str], str]],
    weights: Mapping[str, FloatArray],
    shapes: tuple[Sequence[object], Sequence[object]],
    output: str,
) -> None:
    extra: dict[str, dict[str, object]] = {
        "ReduceMean": {"axes": [1, 2], "keepdims": 0},
        "Softmax": {"axis": 1},
    }
    made = [helper.make_node(kind, takes, [gives], **extra.get(kind, {})) for kind, takes, gives in nodes]
    taken = helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, shapes[0])
    given = helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, shapes[1])
    values = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(made, path.stem, [taken], [given], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _write_requests(case: Case, source: FloatArray) -> None:
    x = np.resize(source, (case.rows, *source.shape[1:]))
    # In the fewest digits that read back the same.
    data = [float(str(value)) for value in x.flat]
    flat: dict[str, object] = {"shape": list(x.shape), "data": data}
    tensor = {"name": "x", "datatype": "FP32", **flat}
    case.request("flat").write_text(json.dumps(flat, separators=(",", ":")))
    case.request("v2").write_text(json.dumps({"id": "bench", "inputs": [tensor]}, separators=(",", ":")))
    # Imported here: servers import that module where there is no graphc.
    from mean_graph import MeanGraph

    right = MeanGraph(case.folder)(x)
    (case.folder / f"right-{case.rows}.json").write_text(json.dumps(right.ravel().tolist()))


def read_right(case: Case) -> list[float]:
    """Return the numbers that every peer has to answer."""
    return cast("list[float]", json.loads((case.folder / f"right-{case.rows}.json").read_text()))
