"""Categories turned into an axis of zeros with a single 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from graphc_components.arguments import elements, text
from graphc_components.component import Component, ComponentError, Parameter, ParameterKind, Role, Values
from graphc_components.late import datatypes, np, steps
from graphc_components.signatures import require_datatype, require_members
from graphc_components.tensors import DATATYPES, INTEGERS, TensorType


def one_hot(
    x: datatypes.Array, *, categories: Sequence[int | str], unknown: str = "error", datatype: str = "FP32"
) -> datatypes.Array:
    """Add an axis with a 1 at the value's place among the categories.

    A value that is no category is an error, or all zeros where `unknown` is `ignore`.
    """
    known = _members(categories, x.dtype)
    hot = cast("datatypes.Booleans", x[..., np.newaxis] == known)
    missing = ~hot.any(axis=-1)
    if unknown == "error" and missing.any():
        raise ComponentError(f"{datatypes.show(x[missing][0])} is not one of the categories")
    return hot.astype(datatypes.to_numpy(datatype))


def _members(categories: Sequence[int | str], dtype: np.dtype[np.generic]) -> datatypes.Array:
    encoded = [each.encode() for each in categories if isinstance(each, str)]
    return datatypes.bytes_array(encoded, (len(encoded),)) if encoded else np.asarray(categories, dtype=dtype)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_datatype(types, INTEGERS | {"BYTES"}, "a tensor of integers or BYTES")
    (x,), categories = types, elements(values, "categories")
    require_members(x.datatype, categories, "categories")
    return {"output": TensorType(text(values, "datatype"), (*x.shape, len(categories)))}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the encoding, as rows of a table with a 1 in each."""
    categories = [each for each in elements(values, "categories") if isinstance(each, int)]
    position = steps.look_up(writer, categories)
    if position is None:
        return None
    rows = np.eye(len(categories) + 1, len(categories)).astype(datatypes.to_numpy(text(values, "datatype")))
    if text(values, "unknown") == "ignore":
        return [writer.add("Gather", writer.constant(rows), position, axis=0)]
    return [writer.refuse_out_of_bounds(writer.constant(rows[:-1]), position)]


COMPONENT = Component(
    name="one-hot",
    role=Role.TRANSFORMER,
    summary="Adds an axis with a 1 at the place of the value among the categories.",
    signature=_signature,
    function=one_hot,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        Parameter(
            name="categories",
            kind=ParameterKind.LABELS,
            required=True,
            unique=True,
            doc="The values that are known, in the order of the new axis.",
        ),
        Parameter(
            name="unknown",
            kind=ParameterKind.STRING,
            default="error",
            options=("error", "ignore"),
            doc="What a value that is no category does: fails the request, or becomes all zeros.",
        ),
        Parameter(
            name="datatype",
            kind=ParameterKind.DATATYPE,
            default="FP32",
            options=tuple(name for name in DATATYPES if name != "BYTES"),
            doc="The datatype of the zeros and ones.",
        ),
    ),
)
