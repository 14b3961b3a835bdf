"""Columns of the last axis."""

from __future__ import annotations

from collections.abc import Sequence

from graphc_components.arguments import integers
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
from graphc_components.signatures import require_rank
from graphc_components.tensors import TensorType


def select(x: datatypes.Array, *, columns: Sequence[int]) -> datatypes.Array:
    """Return columns of the last axis, in the order given."""
    size = x.shape[-1]
    if max(columns) >= size:
        raise ComponentError(f"the last axis has {size} columns, and `columns` names {max(columns)}")
    return np.take(x, list(columns), axis=-1)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_rank(types, 2)
    (x,), columns = types, integers(values, "columns")
    size = x.shape[-1]
    if isinstance(size, int) and max(columns) >= size:
        raise SignatureError(
            f"has {max(columns)} in `columns`, and the last of the {size} columns of `{x}` is {size - 1}",
            parameter="columns",
        )
    return {"output": x.with_shape((*x.shape[:-1], len(columns)))}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the selection; where the number of columns is unknown, a GPU would not notice that one is missing."""
    if not isinstance(writer.types[0].shape[-1], int):
        return None
    return [writer.add("Gather", writer.inputs[0], writer.sizes(*integers(values, "columns")), axis=-1)]


COMPONENT = Component(
    name="select",
    role=Role.TRANSFORMER,
    summary="Takes columns of the last axis, in the order given.",
    signature=_signature,
    function=select,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        Parameter(
            name="columns",
            kind=ParameterKind.INTEGERS,
            required=True,
            minimum=0,
            doc="The positions of the columns, counted from 0.",
        ),
    ),
)
