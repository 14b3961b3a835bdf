"""The memory of a GPU that models need, counted from their graphs."""

from pathlib import Path

import numpy as np
from graphc.hardware.memory import ASSUMED, ModelMemory, estimate_unit, read_memory
from onnx import numpy_helper
from onnx.parser import parse_model


def write(path: Path, body: str, **weights: tuple[int, ...]) -> Path:
    model = parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> '
        f"g (float[batch, 4] x) => (float[batch, out] y) {{ {body} }}"
    )
    for name, shape in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_and_the_most_that_lives_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", "a = MatMul(x, w) b = Relu(a) y = MatMul(b, v)", w=(4, 100), v=(100, 2))
    found = read_memory(path, 10)
    # `a` and `b` are there together, of 10 rows and 100 columns; `x` has ended by then.
    assert found == ModelMemory(weights=4 * (400 + 200), activations=4 * 10 * 200, is_complete=True)


def test_a_larger_batch_needs_more(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", "y = MatMul(x, w)", w=(4, 2))
    assert read_memory(path, 64).activations == 64 * read_memory(path, 1).activations


def test_shapes_that_nobody_knows_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", "i = NonZero(x) c = Cast<to = 1>(i) y = Identity(c)")
    assert not read_memory(path, 1).is_complete


def test_each_worker_has_a_copy() -> None:
    model = ModelMemory(100 * 2**20, 8 * 2**20, True)
    one, two = (estimate_unit([model], [50], workers) for workers in (1, 2))
    assert one.total == ASSUMED.context_mib + 100 + 10 + ASSUMED.workspace_mib + 50
    assert two.total == 2 * one.total
