"""The first value that a row's value equals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from graphc_components.arguments import elements
from graphc_components.component import Component, Parameter, ParameterKind, Role, Values
from graphc_components.late import choices, datatypes, np
from graphc_components.signatures import choices_of, require_members, row_count
from graphc_components.tensors import TensorType


def equals(value: datatypes.Array, *, equals: Sequence[bool | int | float | str]) -> choices.Choices:
    """Choose the first value that the row's equals; a number is rounded to the tensor's datatype first."""
    rows = choices.one_per_row(value)
    wanted = [each.encode() if isinstance(each, str) else each for each in equals]
    return choices.first(
        [cast("datatypes.Booleans", rows == np.asarray(each, dtype=rows.dtype)) for each in wanted]
    )


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    require_members(types[0].datatype, elements(values, "equals"), "equals")
    return choices_of(row_count(types))


COMPONENT = Component(
    name="equals",
    role=Role.ROUTER,
    summary="Chooses by the first value that a tensor's value equals.",
    signature=_signature,
    function=equals,
    inputs=("value",),
    outputs=("choice",),
    parameters=(
        Parameter(name="equals", kind=ParameterKind.VALUES, required=True, doc="A value for each branch."),
    ),
)
