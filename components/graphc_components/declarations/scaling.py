"""Declares the transformers that scale numbers."""

from collections.abc import Mapping
from typing import Final

from graphc_components.arguments import integer, number, numbers
from graphc_components.component import Component, Parameter, ParameterKind, Role, SignatureError, Value
from graphc_components.signatures import (
    float_datatype,
    inner_axis,
    require_numeric,
    require_rank,
    require_size,
)
from graphc_components.tensors import FLOATS, TensorType, value_range

_AXIS: Final = Parameter(
    name="axis", kind=ParameterKind.INTEGER, default=-1, doc="The axis along which numbers belong together."
)


def _scale(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    shape = types[0].shape
    for name in ("mean", "scale"):
        if not isinstance(values[name], int | float):
            require_rank(types, 2)
            shape = (*shape[:-1], require_size(shape[-1], len(numbers(values, name)), name, types[0]))
    divisor = values["scale"]
    if 0 in (numbers(values, "scale") if not isinstance(divisor, int | float) else [divisor]):
        raise SignatureError("has 0 in `scale`, by which nothing can be divided", parameter="scale")
    return {"output": TensorType(float_datatype(types), shape)}


def _along_axis(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    inner_axis(integer(values, "axis"), types[0].rank)
    return {"output": TensorType(float_datatype(types), types[0].shape)}


def _clip(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    bounds = {name: number(values, name) for name in ("low", "high") if name in values}
    if not bounds:
        raise SignatureError("needs `low`, `high` or both")
    if len(bounds) == 2 and bounds["low"] > bounds["high"]:
        raise SignatureError(
            f"has a `low` of {bounds['low']} above its `high` of {bounds['high']}", parameter="low"
        )
    for name, bound in bounds.items():
        _require_bound(types[0].datatype, name, bound)
    return {"output": types[0]}


def _require_bound(datatype: str, name: str, bound: float) -> None:
    least, greatest = value_range(datatype)
    if datatype not in FLOATS and bound != int(bound):
        raise SignatureError(f"has a `{name}` of {bound}, which is not a value of {datatype}", parameter=name)
    if (name == "low" and bound > greatest) or (name == "high" and bound < least):
        raise SignatureError(f"has a `{name}` of {bound}, which no {datatype} satisfies", parameter=name)


SCALE: Final = Component(
    name="scale",
    role=Role.TRANSFORMER,
    summary="Subtracts a mean and divides by a scale, for all columns or for each.",
    signature=_scale,
    function="graphc_components.scaling:scale",
    inputs=("x",),
    parameters=(
        Parameter(
            name="mean",
            kind=ParameterKind.NUMBER_OR_NUMBERS,
            default=0,
            doc="What is subtracted; a list has a number for each column of the last axis.",
        ),
        Parameter(
            name="scale",
            kind=ParameterKind.NUMBER_OR_NUMBERS,
            default=1,
            doc="What is divided by; a list has a number for each column of the last axis.",
        ),
    ),
)
NORMALISE: Final = Component(
    name="normalise",
    role=Role.TRANSFORMER,
    summary="Divides by a norm along an axis, or brings to the range 0 to 1.",
    signature=_along_axis,
    function="graphc_components.scaling:normalise",
    inputs=("x",),
    parameters=(
        Parameter(
            name="norm",
            kind=ParameterKind.STRING,
            default="l2",
            options=("l1", "l2", "max", "minmax"),
            doc="The norm that becomes 1; `minmax` brings the least to 0 and the greatest to 1.",
        ),
        _AXIS,
    ),
)
SOFTMAX: Final = Component(
    name="softmax",
    role=Role.TRANSFORMER,
    summary="Turns scores into probabilities that sum to 1 along an axis.",
    signature=_along_axis,
    function="graphc_components.scaling:softmax",
    inputs=("x",),
    parameters=(
        _AXIS,
        Parameter(
            name="temperature",
            kind=ParameterKind.NUMBER,
            default=1,
            above=0,
            doc="What the scores are divided by; above 1 evens the probabilities out.",
        ),
    ),
)
CLIP: Final = Component(
    name="clip",
    role=Role.TRANSFORMER,
    summary="Brings each number into a range.",
    signature=_clip,
    function="graphc_components.scaling:clip",
    inputs=("x",),
    parameters=(
        Parameter(name="low", kind=ParameterKind.NUMBER, doc="The least number let through."),
        Parameter(name="high", kind=ParameterKind.NUMBER, doc="The greatest number let through."),
    ),
)
