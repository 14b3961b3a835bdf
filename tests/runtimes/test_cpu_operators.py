"""Operators that run on the CPU beside a GPU are told of, but for those that compute shapes."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import pytest
from fake_cuda import having_cuda
from graphc_runtimes.adapters import load_runner
from graphc_runtimes.adapters.placed import RECORD, Placement, Subgraph, place
from graphc_runtimes.devices import find_operators, listen
from graphc_runtimes.environment import Device, Environment
from graphc_runtimes.providers import CPU, CUDA, TENSORRT
from graphc_runtimes.region import ModelNode, Read
from onnx import TensorProto, helper

NODE: Final = ModelNode(
    name="n", outputs={"Y": "n.Y"}, inputs={"X": Read("x")}, kind="model", framework="onnx", path="m.onnx"
)
NEW: Final = "get_provider_graph_assignment_info"
X: Final = np.array([[0.0, 1.0], [5.0, 6.0]], dtype=np.float32)


def environment(folder: Path, device: Device = "cuda") -> Environment:
    return Environment("", None, folder, device, 1)


def write_scaled(path: Path) -> None:
    """Write a model that scales `X` as scikit-learn's converters do, and doubles that."""
    two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("X", "Y")]
    scale = helper.make_node(
        "Scaler", ["X"], ["scaled"], domain="ai.onnx.ml", offset=[1.0, 1.0], scale=[3.0, 3.0]
    )
    nodes = [scale, helper.make_node("Mul", ["scaled", "two"], ["Y"])]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph(nodes, "scaled", infos[:1], infos[1:], [two])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def placed(*operators: tuple[str, str]) -> list[Subgraph]:
    """Return what a session says of operators, each `domain.Name` on a provider."""
    return [_subgraph(provider, *operator.rpartition(".")[::2]) for provider, operator in operators]


def _subgraph(provider: str, domain: str, name: str) -> Any:
    node = SimpleNamespace(domain=domain, op_type=name, name="")
    return SimpleNamespace(ep_name=provider, get_nodes=lambda: [node])


def test_operators_are_counted_by_name() -> None:
    found = place(
        placed(
            (CUDA, "MatMul"), (CPU, "ai.onnx.ml.Scaler"), (CPU, "Unique"), (CPU, "Unique"), (TENSORRT, "Add")
        )
    )
    assert found == Placement(5, {"ai.onnx.ml.Scaler": 1, "Unique": 2})


@pytest.mark.parametrize("source", [CUDA, CPU])
def test_shape_computations_are_no_news(source: str) -> None:
    found = place(
        placed((source, "Shape"), (CPU, "Gather"), (CPU, "Concat"), (CUDA, "Reshape"), (CPU, "NonZero"))
    )
    assert found == Placement(5, {"NonZero": 1}, 3 if source == CPU else 2)


@pytest.mark.parametrize("operator", ["Gather", "com.microsoft.Gather"])
def test_what_no_shape_is_computed_with_is_told_of(operator: str) -> None:
    assert place(placed((CUDA, "Relu"), (CPU, operator))).on_cpu == {operator: 1}
    other = place(placed((CUDA, "Shape"), (CPU, operator)))
    assert (other.on_cpu == {}) == (operator == "Gather")


def test_a_real_session_tells_where_its_operators_run(tmp_path: Path) -> None:
    write_scaled(tmp_path / "m.onnx")
    options: Any = onnxruntime.SessionOptions()
    options.add_session_config_entry(RECORD, "1")
    session: Any = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), options, providers=[CPU])
    found = place(session.get_provider_graph_assignment_info())
    assert found == Placement(2, {"ai.onnx.ml.Scaler": 1, "Mul": 1})


@pytest.mark.parametrize("device", ["cuda", "prefer-cuda", "tensorrt"])
def test_a_unit_tells_of_them_once(device: Device, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_scaled(tmp_path / "m.onnx")
    asked, heard = environment(tmp_path, device), list[object]()
    listen(asked, lambda: heard.append(find_operators(asked)))
    with having_cuda(), caplog.at_level(logging.WARNING, "mlserver.graphc"):
        run = asyncio.run(load_runner(NODE, asked))
    assert run({"X": X})["Y"].tolist() == ((X - 1) * 6).tolist()
    on_cpu = {"n": {"ai.onnx.ml.Scaler": 1}}
    assert (find_operators(asked), heard) == (on_cpu, [on_cpu])
    said = [each.getMessage() for each in caplog.records if each.name == "mlserver.graphc"]
    assert said == ["node `n` runs 1 of its 2 operators on the CPU: 1 ai.onnx.ml.Scaler"]


def test_a_model_that_a_gpu_runs_whole_says_nothing(
    tmp_path: Path, write_double: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    write_double(tmp_path / "m.onnx")
    with having_cuda(), caplog.at_level(logging.INFO, "mlserver.graphc"):
        asyncio.run(load_runner(NODE, environment(tmp_path)))
    assert words_of(caplog.records) == []
    assert find_operators(environment(tmp_path)) == {}


def test_a_unit_on_processors_has_nothing_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_scaled(tmp_path / "m.onnx")
    asyncio.run(load_runner(NODE, environment(tmp_path, "cpu")))
    assert words_of(caplog.records) == []


def test_an_onnxruntime_that_cannot_tell_is_named(
    tmp_path: Path,
    write_double: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_double(tmp_path / "m.onnx")
    # Earlier versions have no such method.
    with having_cuda():
        for each in onnxruntime.InferenceSession.__mro__:
            if NEW in vars(each):
                monkeypatch.delattr(each, NEW)
        asyncio.run(load_runner(NODE, environment(tmp_path)))
    (said,) = words_of(caplog.records)
    assert said.endswith("does not tell whether operators of `n` run on the CPU")


def words_of(records: Sequence[logging.LogRecord]) -> list[str]:
    return [each.getMessage() for each in records if each.name == "mlserver.graphc"]
