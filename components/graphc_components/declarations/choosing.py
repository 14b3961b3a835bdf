"""Declares the transformers that choose."""

from collections.abc import Mapping
from typing import Final

from graphc_components.arguments import integer, text
from graphc_components.component import Component, Parameter, ParameterKind, Role, SignatureError, Value
from graphc_components.signatures import inner_axis, require_numeric, require_rank
from graphc_components.tensors import TensorType


def _argmax(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    (x,) = types
    axis = inner_axis(integer(values, "axis"), x.rank)
    if x.shape[axis] == 0:
        raise SignatureError(f"needs values on axis {axis} of `{x}`, which is empty", input=0)
    return {"output": TensorType("INT64", x.shape[:axis] + x.shape[axis + 1 :])}


def _top_k(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    require_rank(types, 2)
    (x,), k = types, integer(values, "k")
    columns = x.shape[-1]
    if isinstance(columns, int) and k > columns:
        raise SignatureError(f"has a `k` of {k}, and `{x}` has {columns} columns", parameter="k")
    greatest = x.with_shape((*x.shape[:-1], k))
    return {"values": greatest, "indices": greatest.with_datatype("INT64")}


def _threshold(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    return {"output": types[0].with_datatype(text(values, "datatype"))}


ARGMAX: Final = Component(
    name="argmax",
    role=Role.TRANSFORMER,
    summary="Tells the position of the greatest number along an axis.",
    signature=_argmax,
    function="graphc_components.choosing:argmax",
    inputs=("x",),
    parameters=(
        Parameter(name="axis", kind=ParameterKind.INTEGER, default=-1, doc="The axis that is searched."),
    ),
)
TOP_K: Final = Component(
    name="top-k",
    role=Role.TRANSFORMER,
    summary="Takes the greatest numbers of the last axis, greatest first, and their positions.",
    signature=_top_k,
    function="graphc_components.choosing:top_k",
    inputs=("x",),
    outputs=("values", "indices"),
    parameters=(
        Parameter(name="k", kind=ParameterKind.INTEGER, required=True, minimum=1, doc="How many are taken."),
    ),
)
THRESHOLD: Final = Component(
    name="threshold",
    role=Role.TRANSFORMER,
    summary="Tells which numbers are at least a limit.",
    signature=_threshold,
    function="graphc_components.choosing:threshold",
    inputs=("x",),
    parameters=(
        Parameter(name="at", kind=ParameterKind.NUMBER, required=True, doc="The least number that counts."),
        Parameter(
            name="datatype",
            kind=ParameterKind.DATATYPE,
            default="BOOL",
            options=("BOOL", "INT64"),
            doc="The datatype of the answer.",
        ),
    ),
)
