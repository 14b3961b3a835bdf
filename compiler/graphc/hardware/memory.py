"""Estimates the memory of a GPU that models need: weights, activations of the largest batch, and what comes with CUDA.

Weights and activations are counted from the ONNX graph. The rest is assumed, and replaced by what a user measured.
"""
# onnx has no types of its own for these.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Final

from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, shape_inference


@dataclass(frozen=True, slots=True)
class MemoryModel:
    """What is assumed, in MiB and as factors; a measured `gpu_memory` of a node takes the place of all of it."""

    context_mib: int = 500
    """Of a process that uses CUDA, with the libraries that onnxruntime loads."""
    workspace_mib: int = 64
    """Of a session, for convolutions and products of matrices."""
    arena: float = 1.25
    """What onnxruntime's arena takes for each byte of activations: it does not give back, and leaves gaps."""


ASSUMED: Final = MemoryModel()

_BITS: Final[Mapping[int, int]] = {
    TensorProto.FLOAT: 32,
    TensorProto.UINT8: 8,
    TensorProto.INT8: 8,
    TensorProto.UINT16: 16,
    TensorProto.INT16: 16,
    TensorProto.INT32: 32,
    TensorProto.INT64: 64,
    TensorProto.BOOL: 8,
    TensorProto.FLOAT16: 16,
    TensorProto.DOUBLE: 64,
    TensorProto.UINT32: 32,
    TensorProto.UINT64: 64,
    TensorProto.BFLOAT16: 16,
    TensorProto.FLOAT8E4M3FN: 8,
    TensorProto.FLOAT8E5M2: 8,
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
}


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """The bytes of a model; `is_complete` says whether the shape of every activation was found."""

    weights: int
    activations: int
    is_complete: bool


def read_memory(path: Path, batch: int) -> ModelMemory:
    """Count the bytes of an ONNX model for a batch of rows; weights in other files are not read.

    Raises OSError and what onnx raises for a file that is no model.
    """
    model = ModelProto.FromString(path.read_bytes())
    weights = sum(_bytes_of(each.data_type, each.dims) for each in _weights(model.graph))
    _set_batch(model.graph, batch)
    graph = _infer(model).graph
    sizes = dict(_sizes(graph))
    made = {name for node in graph.node for name in node.output if name}
    complete = made <= sizes.keys() and not _has_unknown_inputs(graph)
    return ModelMemory(weights, _peak(graph, sizes), complete)


def _weights(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _weights(attribute.g)


def _bytes_of(datatype: int, dims: Sequence[int]) -> int:
    return prod(dims) * _BITS.get(datatype, 64) // 8


def _set_batch(graph: GraphProto, batch: int) -> None:
    """Give the first dimension of each input the batch, where it has no number."""
    constants = {each.name for each in graph.initializer}
    # What an exporter wrote down of other batches would stand in the way.
    graph.ClearField("value_info")
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and dims and not dims[0].dim_value:
            dims[0].dim_value = batch
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def _infer(model: ModelProto) -> ModelProto:
    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except shape_inference.InferenceError:
        return model


def _sizes(graph: GraphProto) -> Iterator[tuple[str, int]]:
    for value in (*graph.input, *graph.value_info, *graph.output):
        size = _size(value)
        if size is not None:
            yield value.name, size


def _size(value: ValueInfoProto) -> int | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return _bytes_of(tensor.elem_type, [dim.dim_value for dim in tensor.shape.dim])


def _has_unknown_inputs(graph: GraphProto) -> bool:
    constants = {each.name for each in graph.initializer}
    return any(_size(each) is None for each in graph.input if each.name not in constants)


def _peak(graph: GraphProto, sizes: Mapping[str, int]) -> int:
    """Return the most bytes of tensors that are needed at one time, the nodes run in their order."""
    kept = {each.name for each in graph.output}
    last = {name: index for index, node in enumerate(graph.node) for name in node.input}
    inputs = {each.name for each in graph.input} - {each.name for each in graph.initializer}
    live = sum(sizes.get(name, 0) for name in inputs)
    most = live
    for index, node in enumerate(graph.node):
        made = [name for name in node.output if name]
        live += sum(sizes.get(name, 0) for name in made)
        most = max(most, live)
        ended = {name for name in node.input if last[name] == index and name in sizes}
        ended |= {name for name in made if name not in last}
        live -= sum(sizes.get(name, 0) for name in ended - kept)
    return most


@dataclass(frozen=True, slots=True)
class Estimate:
    """The memory of a unit in MiB: of its processes' CUDA, and of its models."""

    context: int
    weights: int
    activations: int
    workspace: int
    measured: int
    is_complete: bool

    @property
    def total(self) -> int:
        """All of it."""
        return self.context + self.weights + self.activations + self.workspace + self.measured


def estimate_unit(
    models: Sequence[ModelMemory],
    measured_mib: Sequence[int] = (),
    workers: int = 1,
    assumed: MemoryModel = ASSUMED,
) -> Estimate:
    """Return what a container needs that runs models: each worker has a session, and so a copy, of each.

    `measured_mib` has what a session of each measured model takes, activations included.
    """
    weights = sum(each.weights for each in models)
    activations = sum(each.activations for each in models) * assumed.arena
    return Estimate(
        context=assumed.context_mib * workers,
        weights=_mib(weights) * workers,
        activations=_mib(activations) * workers,
        workspace=assumed.workspace_mib * len(models) * workers,
        measured=sum(measured_mib) * workers,
        is_complete=all(each.is_complete for each in models),
    )


def _mib(count: float) -> int:
    return ceil(count / 2**20)
