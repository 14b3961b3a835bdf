"""Declares the routers, which choose a branch for each row."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from graphc_components.arguments import elements, numbers
from graphc_components.component import Component, Parameter, ParameterKind, Role, SignatureError, Value
from graphc_components.signatures import require_members, require_numeric, require_weights
from graphc_components.tensors import Dim, TensorType


def _threshold(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_numeric(types)
    for lower, limit in pairwise(numbers(values, "below")):
        if limit <= lower:
            message = f"has {limit:g} after {lower:g} in `below`, so that its branch is never taken"
            raise SignatureError(message, parameter="below")
    return _choices(_rows(types))


def _equals(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:
    require_members(types[0].datatype, elements(values, "equals"), "equals")
    return _choices(_rows(types))


def _random(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:  # noqa: ARG001
    require_weights(values, None)
    return _choices(None)


def _confidence(types: tuple[TensorType, ...], values: Mapping[str, Value]) -> dict[str, TensorType]:  # noqa: ARG001
    require_numeric(types)
    (probabilities,) = types
    if probabilities.rank > 2:
        message = f"needs a tensor of one or two dimensions, not `{probabilities}`"
        raise SignatureError(message, input=0)
    return _choices(probabilities.shape[0])


def _rows(types: Sequence[TensorType]) -> Dim:
    (value,) = types
    if value.rank > 2 or value.shape[1:] not in {(), (1,), (None,)}:
        raise SignatureError(f"needs one value for each row, not `{value}`", input=0)
    return value.shape[0]


def _choices(rows: Dim) -> dict[str, TensorType]:
    return {"choice": TensorType("INT32", (rows,))}


THRESHOLD: Final = Component(
    name="threshold",
    role=Role.ROUTER,
    summary="Chooses by the first limit that a number is below.",
    signature=_threshold,
    function="graphc_components.routers:threshold",
    inputs=("value",),
    outputs=("choice",),
    parameters=(
        Parameter(
            name="below", kind=ParameterKind.NUMBERS, required=True, doc="The limits, in rising order."
        ),
    ),
)
EQUALS: Final = Component(
    name="equals",
    role=Role.ROUTER,
    summary="Chooses by the first value that a tensor's value equals.",
    signature=_equals,
    function="graphc_components.routers:equals",
    inputs=("value",),
    outputs=("choice",),
    parameters=(
        Parameter(name="equals", kind=ParameterKind.VALUES, required=True, doc="A value for each branch."),
    ),
)
RANDOM: Final = Component(
    name="random",
    role=Role.ROUTER,
    summary="Chooses by weight: always alike for a key, or anew for each row.",
    signature=_random,
    function="graphc_components.routers:random",
    inputs=(),
    minimum=0,
    outputs=("choice",),
    parameters=(
        Parameter(
            name="weights",
            kind=ParameterKind.NUMBERS,
            required=True,
            minimum=0,
            doc="How often each branch is taken, compared with the others.",
        ),
        Parameter(
            name="salt",
            kind=ParameterKind.STRING,
            default="",
            doc="A text that sets this split apart from others by the same key.",
        ),
    ),
)
CONFIDENCE: Final = Component(
    name="confidence",
    role=Role.ROUTER,
    summary="Chooses 0 where the greatest of a row reaches a limit, else 1.",
    signature=_confidence,
    function="graphc_components.routers:confidence",
    inputs=("value",),
    outputs=("choice",),
    parameters=(
        Parameter(name="until", kind=ParameterKind.NUMBER, required=True, doc="The limit that is enough."),
    ),
)
