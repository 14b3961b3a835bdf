"""The first limit that a number is below."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from graphc_components.arguments import numbers
from graphc_components.component import Component, Parameter, ParameterKind, Role, SignatureError, Values
from graphc_components.late import choices, datatypes, limits
from graphc_components.signatures import choices_of, require_numeric, row_count
from graphc_components.tensors import TensorType


def threshold(value: datatypes.Numbers, *, below: Sequence[float]) -> choices.Choices:
    """Choose the first limit that the value is below; NaN is below none."""
    rows = cast("datatypes.Numbers", choices.one_per_row(value))
    return choices.first([limits.is_below(rows, limit) for limit in below])


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_numeric(types)
    for lower, limit in pairwise(numbers(values, "below")):
        if limit <= lower:
            message = f"has {limit:g} after {lower:g} in `below`, so that its branch is never taken"
            raise SignatureError(message, parameter="below")
    return choices_of(row_count(types))


COMPONENT = Component(
    name="threshold",
    role=Role.ROUTER,
    summary="Chooses by the first limit that a number is below.",
    signature=_signature,
    function=threshold,
    inputs=("value",),
    outputs=("choice",),
    parameters=(
        Parameter(
            name="below", kind=ParameterKind.NUMBERS, required=True, doc="The limits, in rising order."
        ),
    ),
)
