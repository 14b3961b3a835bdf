"""Declares the transformers that move values and change none."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from graphc_components.arguments import integers
from graphc_components.component import Component, Parameter, ParameterKind, Role, SignatureError, Value
from graphc_components.signatures import require_rank
from graphc_components.tensors import Dim, TensorType


def _select(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_rank(types, 2)
    (x,), columns = types, integers(values, "columns")
    size = x.shape[-1]
    if isinstance(size, int) and max(columns) >= size:
        raise SignatureError(
            f"has {max(columns)} in `columns`, and the last of the {size} columns of `{x}` is {size - 1}",
            parameter="columns",
        )
    return {"output": x.with_shape((*x.shape[:-1], len(columns)))}


def _reshape(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
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


def _rename(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:  # noqa: ARG001
    return {str(position): each for position, each in enumerate(types)}


SELECT: Final = Component(
    name="select",
    role=Role.TRANSFORMER,
    summary="Takes columns of the last axis, in the order given.",
    signature=_select,
    function="graphc_components.shaping:select",
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
RESHAPE: Final = Component(
    name="reshape",
    role=Role.TRANSFORMER,
    summary="Gives each row another shape.",
    signature=_reshape,
    function="graphc_components.shaping:reshape",
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
RENAME: Final = Component(
    name="rename",
    role=Role.TRANSFORMER,
    summary="Passes its inputs on, by the names that the file gives them.",
    signature=_rename,
    function="graphc_components.shaping:rename",
    outputs=None,
)
