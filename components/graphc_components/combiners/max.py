"""The greatest of numbers, in their own datatype; NaN in an input makes NaN in the answer."""

from __future__ import annotations

from functools import reduce

from graphc_components.component import Component, Role, Values
from graphc_components.late import datatypes, np, steps
from graphc_components.signatures import same_numbers


def maximum(*tensors: datatypes.Numbers) -> datatypes.Array:
    """Return the greatest of the inputs, element by element, in their own datatype; NaN wins."""
    datatypes.require_one_shape(tensors)
    return reduce(np.maximum, tensors[1:], tensors[0].copy())


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:  # noqa: ARG001
    return steps.extreme(writer, "Max")


COMPONENT = Component(
    name="max",
    role=Role.COMBINER,
    summary="Takes the greatest of its inputs, element by element.",
    signature=same_numbers,
    function=maximum,
    onnx=_onnx,
)
