"""Declares the combiners."""

from collections.abc import Mapping
from typing import Final

from graphc_components.arguments import integer
from graphc_components.component import (
    Component,
    Parameter,
    ParameterKind,
    Role,
    Signature,
    SignatureError,
    Value,
)
from graphc_components.signatures import (
    float_datatype,
    inner_axis,
    require_numeric,
    require_rank,
    require_weights,
    same_datatype,
    same_shape,
)
from graphc_components.tensors import Dim, MergeError, TensorType, merge_dims

_WEIGHTS: Final = Parameter(
    name="weights", kind=ParameterKind.NUMBERS, minimum=0, doc="How much each input counts, in their order."
)
_REQUIRED_WEIGHTS: Final = Parameter(
    name="weights",
    kind=ParameterKind.NUMBERS,
    minimum=0,
    required=True,
    doc="How much each input counts, in their order.",
)


def _average(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    require_weights(values, len(types))
    return {"output": TensorType(float_datatype(types), same_shape(types))}


def _vote(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_rank(types, 2)
    probabilities = _average(types, values)["output"]
    classes = probabilities.shape[-1]
    if classes == 0:
        raise SignatureError(f"needs at least one class, not `{probabilities}`", input=0)
    return {"probabilities": probabilities, "index": TensorType("INT64", probabilities.shape[:-1])}


def _label(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_weights(values, len(types))
    return {"output": TensorType(same_datatype(types), same_shape(types))}


def _extreme(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    return _label(types, values)


def _stack(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    datatype, shape = same_datatype(types), list(same_shape(types))
    shape.insert(inner_axis(integer(values, "axis"), len(shape) + 1, "result"), len(types))
    return {"output": TensorType(datatype, tuple(shape))}


def _concat(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
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


def _combiner(
    name: str, summary: str, signature: Signature, *parameters: Parameter, function: str | None = None
) -> Component:
    return Component(
        name=name,
        role=Role.COMBINER,
        summary=summary,
        signature=signature,
        function=f"graphc_components.combiners:{function or name.replace('-', '_')}",
        parameters=parameters,
    )


def _axis(doc: str) -> Parameter:
    return Parameter(name="axis", kind=ParameterKind.INTEGER, default=-1, doc=doc)


MEAN: Final = _combiner("mean", "Averages its inputs, element by element.", _average)
WEIGHTED_MEAN: Final = _combiner(
    "weighted-mean", "Averages its inputs, each counted by its weight.", _average, _REQUIRED_WEIGHTS
)
MEDIAN: Final = _combiner("median", "Takes the median of its inputs, element by element.", _average)
MIN: Final = _combiner(
    "min", "Takes the least of its inputs, element by element.", _extreme, function="minimum"
)
MAX: Final = _combiner(
    "max", "Takes the greatest of its inputs, element by element.", _extreme, function="maximum"
)
HARD_VOTE: Final = _combiner(
    "hard-vote",
    "Takes the label that most inputs give; of tied labels, the one that the earliest input gives.",
    _label,
    _WEIGHTS,
)
STACK: Final = _combiner(
    "stack", "Joins its inputs along a new axis.", _stack, _axis("Where the new axis is in the result.")
)
CONCAT: Final = _combiner(
    "concat", "Joins its inputs along an axis that they have.", _concat, _axis("The axis that grows.")
)
SOFT_VOTE: Final = Component(
    name="soft-vote",
    role=Role.COMBINER,
    summary="Averages probabilities, and tells which class has the greatest.",
    signature=_vote,
    function="graphc_components.combiners:soft_vote",
    parameters=(_WEIGHTS,),
    outputs=("probabilities", "index"),
)
