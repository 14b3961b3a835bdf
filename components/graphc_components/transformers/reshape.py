"""Rows in another shape."""

from __future__ import annotations

import math
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
from graphc_components.late import datatypes, steps
from graphc_components.tensors import Dim, TensorType


def reshape(x: datatypes.Array, *, shape: Sequence[int]) -> datatypes.Array:
    """Give each row another shape; one size may be -1, which is worked out."""
    size = math.prod(x.shape[1:])
    known = math.prod(dim for dim in shape if dim != -1)
    if size != known and (-1 not in shape or size % known):
        raise ComponentError(f"a row of {size} values does not have the shape {list(shape)}")
    # numpy cannot work out -1 for a batch of no rows.
    return x.reshape(x.shape[0], *(size // known if dim == -1 else dim for dim in shape)).copy()


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    (x,), shape = types, integers(values, "shape")
    if shape.count(-1) > 1 or 0 in shape:
        raise SignatureError(
            "needs sizes of at least 1 in `shape`, one of which may be -1", parameter="shape"
        )
    return {"output": x.with_shape((x.shape[0], *_inner(x, shape)))}


def _inner(x: TensorType, shape: Sequence[int]) -> list[Dim]:
    known = math.prod(size for size in shape if size != -1)
    sizes = [dim for dim in x.shape[1:] if isinstance(dim, int)]
    if len(sizes) < x.rank - 1:
        return [None if size == -1 else size for size in shape]
    row = math.prod(sizes)
    if row != known and (-1 not in shape or row % known):
        message = f"cannot give a row of `{x}`, which has {row} values, the shape {list(shape)}"
        raise SignatureError(message, parameter="shape")
    return [row // known if size == -1 else size for size in shape]


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the reshaping, with a size that is worked out here: operators cannot, for a batch of no rows."""
    sizes = [dim for dim in writer.types[0].shape[1:] if isinstance(dim, int)]
    if len(sizes) != writer.types[0].rank - 1:
        return None
    shape = integers(values, "shape")
    known = math.prod(dim for dim in shape if dim != -1)
    # A size of 0 keeps the one there is.
    target = writer.sizes(0, *(math.prod(sizes) // known if dim == -1 else dim for dim in shape))
    return None if 0 in sizes else [writer.add("Reshape", writer.inputs[0], target)]


COMPONENT = Component(
    name="reshape",
    role=Role.TRANSFORMER,
    summary="Gives each row another shape.",
    signature=_signature,
    function=reshape,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        Parameter(
            name="shape",
            kind=ParameterKind.INTEGERS,
            required=True,
            minimum=-1,
            empty=True,
            doc="The sizes after the first, which stays; one may be -1; no sizes at all: one value a row.",
        ),
    ),
)
