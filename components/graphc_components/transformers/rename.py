"""Tensors passed on by other names."""

from __future__ import annotations

from graphc_components.component import Component, Role, Values
from graphc_components.late import datatypes, steps
from graphc_components.tensors import TensorType


def rename(*tensors: datatypes.Array) -> tuple[datatypes.Array, ...]:
    """Return the inputs as they are; the file's names for them become the names of the outputs."""
    return tuple(tensor.copy() for tensor in tensors)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:  # noqa: ARG001
    return {str(position): each for position, each in enumerate(types)}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:  # noqa: ARG001
    """State nothing but the inputs."""
    return list(writer.inputs)


COMPONENT = Component(
    name="rename",
    role=Role.TRANSFORMER,
    summary="Passes its inputs on, by the names that the file gives them.",
    signature=_signature,
    function=rename,
    onnx=_onnx,
    outputs=None,
)
