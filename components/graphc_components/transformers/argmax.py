"""The position of the greatest number along an axis; NaN counts as minus infinity."""

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
from graphc_components.signatures import inner_axis, require_numeric
from graphc_components.tensors import TensorType


def argmax(x: datatypes.Numbers, *, axis: int = -1) -> datatypes.Array:
    """Return the position of the greatest number along an axis; the first of equals."""
    if not x.shape[axis]:
        raise ComponentError(f"axis {axis} is empty, so nothing on it is the greatest")
    return datatypes.rank(x).argmax(axis=axis).astype(np.int64, copy=False)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_numeric(types)
    (x,) = types
    axis = inner_axis(integer(values, "axis"), x.rank)
    if x.shape[axis] == 0:
        raise SignatureError(f"needs values on axis {axis} of `{x}`, which is empty", input=0)
    return {"output": TensorType("INT64", x.shape[:axis] + x.shape[axis + 1 :])}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the search; an axis that may be empty has no greatest, and operators differ in what they say."""
    axis = integer(values, "axis") % writer.types[0].rank
    size = writer.types[0].shape[axis]
    ordered = steps.order(writer)
    if ordered is None or not isinstance(size, int) or size == 0:
        return None
    return [writer.add("ArgMax", steps.rank(writer, *ordered), axis=axis, keepdims=0)]


COMPONENT = Component(
    name="argmax",
    role=Role.TRANSFORMER,
    summary="Tells the position of the greatest number along an axis.",
    signature=_signature,
    function=argmax,
    onnx=_onnx,
    inputs=("x",),
    parameters=(axis_parameter("The axis that is searched."),),
)
