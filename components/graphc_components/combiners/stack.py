"""Tensors joined along a new axis."""

from __future__ import annotations

from graphc_components.arguments import integer
from graphc_components.component import Component, Role, Values, axis_parameter
from graphc_components.late import datatypes, np, steps
from graphc_components.signatures import inner_axis, same_datatype, same_shape
from graphc_components.tensors import TensorType


def stack(*tensors: datatypes.Array, axis: int = -1) -> datatypes.Array:
    """Join the inputs along a new axis."""
    datatypes.require_one_shape(tensors)
    return np.stack(tensors, axis=axis)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    datatype, shape = same_datatype(types), list(same_shape(types))
    shape.insert(inner_axis(integer(values, "axis"), len(shape) + 1, "result"), len(types))
    return {"output": TensorType(datatype, tuple(shape))}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    return [writer.stack(writer.inputs, integer(values, "axis") % (writer.types[0].rank + 1))]


COMPONENT = Component(
    name="stack",
    role=Role.COMBINER,
    summary="Joins its inputs along a new axis.",
    signature=_signature,
    function=stack,
    onnx=_onnx,
    parameters=(axis_parameter("Where the new axis is in the result."),),
)
