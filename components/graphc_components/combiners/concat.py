"""Tensors joined along an axis that they have."""

from __future__ import annotations

from graphc_components.arguments import integer
from graphc_components.component import (
    Component,
    ComponentError,
    Role,
    SignatureError,
    Values,
    axis_parameter,
)
from graphc_components.late import datatypes, np, steps
from graphc_components.signatures import inner_axis, same_datatype
from graphc_components.tensors import Dim, MergeError, TensorType, merge_dims


def concat(*tensors: datatypes.Array, axis: int = -1) -> datatypes.Array:
    """Join the inputs along an axis that they have."""
    try:
        return np.concatenate(tensors, axis=axis)
    except ValueError:
        shapes = " and ".join(str(tensor.shape) for tensor in tensors)
        raise ComponentError(f"shapes {shapes} do not join along axis {axis}") from None


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    axis = inner_axis(integer(values, "axis"), types[0].rank)
    shape = list(types[0].shape)
    for index, each in enumerate(types[1:], start=1):
        try:
            shape = _joined(shape, list(each.shape), axis)
        except MergeError:
            message = f"cannot join `{types[0].with_shape(shape)}` and `{each}` along axis {axis}"
            raise SignatureError(message, input=index) from None
    return {"output": TensorType(same_datatype(types), tuple(shape))}


def _joined(left: list[Dim], right: list[Dim], axis: int) -> list[Dim]:
    if len(left) != len(right):
        raise MergeError
    merged = [
        merge_dims(*pair) if index != axis else None
        for index, pair in enumerate(zip(left, right, strict=True))
    ]
    first, second = left[axis], right[axis]
    if isinstance(first, int) and isinstance(second, int):
        merged[axis] = first + second
    return merged


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    return [writer.add("Concat", *writer.inputs, axis=integer(values, "axis") % writer.types[0].rank)]


COMPONENT = Component(
    name="concat",
    role=Role.COMBINER,
    summary="Joins its inputs along an axis that they have.",
    signature=_signature,
    function=concat,
    onnx=_onnx,
    parameters=(axis_parameter("The axis that grows."),),
)
