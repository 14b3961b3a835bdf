"""ONNX models of the kinds that run on GPUs, with weights drawn at random: dense, convolutions, attention."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod, sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass
class _Builder:
    """Nodes and weights, written one after the other."""

    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    nodes: list[Any] = field(default_factory=list[Any])
    weights: list[Any] = field(default_factory=list[Any])

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output, and return that."""
        made = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [made], **attributes))
        return made

    def weigh(self, shape: Sequence[int], fan_in: int) -> str:
        """Add weights that leave the size of what they are applied to about as it is."""
        return self.hold((self.draw.standard_normal(shape) / sqrt(fan_in)).astype(np.float32))

    def hold(self, array: Any) -> str:
        """Add a constant."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def dense(self, x: str, width: int, to: int) -> str:
        """Add a product with a matrix."""
        return self.add("MatMul", x, self.weigh((width, to), width))

    def convolve(self, x: str, channels: int, to: int, size: int, stride: int) -> str:
        """Add a convolution and what follows it."""
        weights = self.weigh((to, channels, size, size), channels * size * size)
        pads = [size // 2] * 4
        made = self.add("Conv", x, weights, kernel_shape=[size, size], strides=[stride, stride], pads=pads)
        return self.add("Relu", made)


def _dense(build: _Builder, scale: int) -> tuple[str, Sequence[int]]:
    x, width = "X", 256
    for to in (1024 * scale // 4, 1024 * scale // 4, 1024 * scale // 4):
        x, width = build.add("Relu", build.dense(x, width, to)), to
    return build.add("Softmax", build.dense(x, width, 10), axis=-1), [256]


def _convolutions(build: _Builder, scale: int) -> tuple[str, Sequence[int]]:
    width = 16 * scale
    x = build.convolve("X", 3, width, 7, 2)
    for to in (width, 2 * width, 4 * width):
        for _ in range(2):
            y = build.convolve(build.convolve(x, width, to, 3, 1 if to == width else 2), to, to, 3, 1)
            x = build.add("Add", x, y) if to == width else y
            width = to
    x = build.add("Flatten", build.add("GlobalAveragePool", x))
    return build.dense(x, width, 10), [3, 56 * scale, 56 * scale]


def _attention(build: _Builder, scale: int) -> tuple[str, Sequence[int]]:
    x, width = "X", 64 * scale
    for _ in range(scale):
        query, key, value = (build.dense(x, width, width) for _ in range(3))
        scores = build.add("MatMul", query, build.add("Transpose", key, perm=[0, 2, 1]))
        shares = build.add("Softmax", build.add("Mul", scores, build.hold(np.float32(width**-0.5))), axis=-1)
        x = build.add("Add", x, build.add("MatMul", shares, value))
        inner = build.add("Relu", build.dense(x, width, 4 * width))
        x = build.add("Add", x, build.dense(inner, 4 * width, width))
    return build.dense(build.add("ReduceMean", x, axes=[1], keepdims=0), width, 10), [128, width]


_KINDS: Final[Mapping[str, Callable[[_Builder, int], tuple[str, Sequence[int]]]]] = {
    "dense": _dense,
    "convolutions": _convolutions,
    "attention": _attention,
}


@dataclass(frozen=True)
class DeviceModel:
    """A model in a file, which takes `X` and gives `Y`: its sizes but for the rows, and the rows if they are fixed."""

    name: str
    path: Path
    sizes: tuple[int, ...]
    rows: int | None = None

    @property
    def shape(self) -> list[int | str]:
        """What it says of its input."""
        return [self.rows or "batch", *self.sizes]

    def draw(self, rows: int, seed: int = 0) -> Any:
        """Return inputs."""
        drawn = np.random.default_rng(seed).standard_normal((rows, prod(self.sizes)), dtype=np.float32)
        return drawn.reshape(rows, *self.sizes)


def write_models(folder: Path, rows: int, *, small: bool) -> list[DeviceModel]:
    """Write a model of each kind, and one for that many rows alone; `small` ones suit a test."""
    scale = 1 if small else 4
    models = [_write(folder, kind, kind, None, scale) for kind in _KINDS]
    return [*models, _write(folder, "dense, fixed shape", "dense", rows, scale)]


def _write(folder: Path, name: str, kind: str, rows: int | None, scale: int) -> DeviceModel:
    build = _Builder()
    made, sizes = _KINDS[kind](build, scale)
    build.nodes.append(helper.make_node("Identity", [made], ["Y"]))
    model = DeviceModel(
        name, folder / f"{name.replace(', ', '-').replace(' ', '-')}.onnx", tuple(sizes), rows
    )
    takes = helper.make_tensor_value_info("X", TensorProto.FLOAT, model.shape)
    gives = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [rows or "batch", 10])
    graph = helper.make_graph(build.nodes, kind, [takes], [gives], build.weights)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), model.path)
    return model
