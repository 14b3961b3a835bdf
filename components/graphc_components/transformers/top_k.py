"""The greatest numbers of the last axis with their positions; NaN counts as minus infinity."""

from __future__ import annotations

from graphc_components.arguments import integer
from graphc_components.component import (
    Component,
    ComponentError,
    Parameter,
    ParameterKind,
    Role,
    SignatureError,
    Values,
)
from graphc_components.late import datatypes, np, steps
from graphc_components.signatures import require_numeric, require_rank
from graphc_components.tensors import TensorType


def top_k(x: datatypes.Numbers, *, k: int) -> tuple[datatypes.Array, datatypes.Array]:
    """Return the `k` greatest numbers of the last axis, greatest first, and their positions.

    Equals stay in order.
    """
    size = x.shape[-1]
    if k > size:
        raise ComponentError(f"the last axis has {size} columns, and `k` is {k}")
    # Sorted backwards and turned around: unsigned numbers have no negative to sort by.
    rising = datatypes.rank(x)[..., ::-1].argsort(axis=-1, kind="stable")
    indices = size - 1 - rising[..., ::-1][..., :k]
    return np.take_along_axis(x, indices, axis=-1), indices.astype(np.int64)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_numeric(types)
    require_rank(types, 2)
    (x,), k = types, integer(values, "k")
    columns = x.shape[-1]
    if isinstance(columns, int) and k > columns:
        raise SignatureError(f"has a `k` of {k}, and `{x}` has {columns} columns", parameter="k")
    greatest = x.with_shape((*x.shape[:-1], k))
    return {"values": greatest, "indices": greatest.with_datatype("INT64")}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the search for several; both sides keep equals in order."""
    size = writer.types[0].shape[-1]
    ordered = steps.order(writer)
    if ordered is None or not isinstance(size, int):
        return None
    count = writer.sizes(integer(values, "k"))
    indices = writer.add("TopK", steps.rank(writer, *ordered), count, outputs=2, axis=-1, largest=1, sorted=1)
    # Not the values that were ranked: NaN was ranked as minus infinity.
    return [writer.add("GatherElements", writer.inputs[0], indices, axis=-1), indices]


COMPONENT = Component(
    name="top-k",
    role=Role.TRANSFORMER,
    summary="Takes the greatest numbers of the last axis, greatest first, and their positions.",
    signature=_signature,
    function=top_k,
    onnx=_onnx,
    inputs=("x",),
    outputs=("values", "indices"),
    parameters=(
        Parameter(name="k", kind=ParameterKind.INTEGER, required=True, minimum=1, doc="How many are taken."),
    ),
)
