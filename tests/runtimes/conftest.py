"""Regions and models small enough to read in a test."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import onnx
import pytest
from graphc_runtimes.region import Region, parse_region
from onnx import TensorProto, helper
from plane_sockets import Running, start
from sklearn.linear_model import LogisticRegression

Json = dict[str, object]


def _tensor(text: str, *, optional: bool = False) -> Json:
    """Read `name: FP32[batch, 2]`."""
    name, _, kind = text.partition(":")
    datatype, _, dims = kind.strip().partition("[")
    shape = [
        int(dim) if dim.isdigit() else (None if dim == "?" else dim) for dim in dims.rstrip("]").split(", ")
    ]
    return {"name": name, "datatype": datatype, "shape": shape, "optional": optional}


def build(
    nodes: Sequence[Json] = (),
    *,
    takes: Sequence[str] = (),
    answers: Mapping[str, str] | None = None,
    inputs: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    wire: str = "plain",
    route: Json | None = None,
    unit: str = "unit",
) -> Json:
    """Return the JSON of a region; `answers` maps a tensor of the region to `name: FP32[batch, 2]`."""
    taken = [_tensor(text) for text in takes]
    for each in taken:
        each["optional"] = each["name"] in optional
    answered = [
        _tensor(text, optional=tensor in optional) | {"tensor": tensor}
        for tensor, text in (answers or {}).items()
    ]
    outputs = [{key: value for key, value in each.items() if key != "tensor"} for each in answered]
    return {
        "graphc": 1,
        "graph": {"name": "graph", "inputs": [_tensor(text) for text in inputs or takes], "outputs": outputs},
        "unit": unit,
        "takes": taken,
        "nodes": list(nodes),
        "answers": answered,
        "wire": wire,
        "route": route,
    }


def node(name: str, inputs: Mapping[str, object], outputs: Mapping[str, str], **fields: object) -> Json:
    """Return the JSON of a node; an input is the name of a tensor, or a whole reading."""
    reads = {key: _read(read) if isinstance(read, str) else read for key, read in inputs.items()}
    return {"name": name, "inputs": reads, "outputs": dict(outputs), "when": [], **fields}


def _read(tensor: str) -> Json:
    return {"tensor": tensor, "gather": []}


def write_double(path: Path) -> None:
    """Write an ONNX model that doubles `X`; its second output is the negative."""
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("X", "Y", "Z")]
    nodes = [helper.make_node("Mul", ["X", "two"], ["Y"]), helper.make_node("Neg", ["X"], ["Z"])]
    graph = helper.make_graph(nodes, "double", infos[:1], infos[1:], [two])
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)


def write_triple(path: Path) -> None:
    """Write an ONNX model like the one that doubles, and that triples: nobody would name it a variant."""
    three = helper.make_tensor("three", TensorProto.FLOAT, [1], [3.0])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("X", "Y", "Z")]
    nodes = [helper.make_node("Mul", ["X", "three"], ["Y"]), helper.make_node("Neg", ["X"], ["Z"])]
    graph = helper.make_graph(nodes, "triple", infos[:1], infos[1:], [three])
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)


def write_classifier(path: Path, *, texts: bool = False) -> None:
    """Write a scikit-learn model of two features that tells small numbers (0) from great ones (1)."""
    rows = np.array([[0.0, 0.0], [1.0, 1.0], [4.0, 4.0], [6.0, 6.0]])
    labels = ["low", "low", "high", "high"] if texts else [0, 0, 1, 1]
    joblib.dump(LogisticRegression().fit(rows, labels), path)


@pytest.fixture(name="write_double", scope="session")
def write_double_fixture() -> Callable[[Path], None]:
    return write_double


@pytest.fixture(name="write_triple", scope="session")
def write_triple_fixture() -> Callable[[Path], None]:
    return write_triple


@pytest.fixture(name="write_classifier", scope="session")
def write_classifier_fixture() -> Callable[..., None]:
    return write_classifier


# The fixtures give functions without state, so that wider fixtures may use them too.


@pytest.fixture(name="build", scope="session")
def build_fixture() -> Callable[..., Json]:
    return build


@pytest.fixture(name="node", scope="session")
def node_fixture() -> Callable[..., Json]:
    return node


@pytest.fixture(name="region", scope="session")
def region_fixture() -> Callable[..., Region]:
    return lambda *args, **kwargs: parse_region(json.dumps(build(*args, **kwargs)))


SLOW: Final = """
import time
import numpy as np

def wait(x):
    if (x == 77).any():
        time.sleep(1)
    return {"y": x + 1}
"""


@pytest.fixture
def double() -> Json:
    """Return a region that answers the mean of its input with itself: the input."""
    mean: Json = {"kind": "component", "component": "mean", "parameters": {}}
    nodes = [node("m", {"0": "x", "1": "x"}, {"output": "m.output"}, **mean)]
    return build(nodes, takes=["x: FP32[batch, 2]"], answers={"m.output": "y: FP32[batch, 2]"})


@pytest.fixture
def slow(tmp_path: Path) -> Json:
    """Return a region with the user's own Python in it."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "code.py").write_text(SLOW)
    declares = {"y": {"datatype": "FP32", "shape": ["batch", 2]}}
    python: Json = {"kind": "python", "entry": "code:wait", "path": "slow", "declares": declares}
    nodes = [node("p", {"x": "x"}, {"y": "p.y"}, **python)]
    return build(nodes, takes=["x: FP32[batch, 2]"], answers={"p.y": "y: FP32[batch, 2]"})


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Serve a region as a unit's process does, MLServer's application replaced by one that tells what it gets."""
    stops: list[Callable[[], None]] = []

    def begin(region: Mapping[str, object], **settings: Any) -> Running:
        running, stop = start(region, tmp_path, **settings)
        stops.append(stop)
        return running

    yield begin
    for stop in stops:
        stop()
