"""Whether the greatest number of a row reaches a limit."""

from __future__ import annotations

from graphc_components.component import (
    Component,
    ComponentError,
    Parameter,
    ParameterKind,
    Role,
    SignatureError,
    Values,
)
from graphc_components.late import choices, datatypes, limits, np
from graphc_components.signatures import choices_of, require_numeric
from graphc_components.tensors import TensorType


def confidence(probabilities: datatypes.Numbers, *, until: float) -> choices.Choices:
    """Choose 0 where the greatest number of a row reaches `until`, else 1; NaN reaches nothing.

    A tensor of one dimension is the confidence itself.
    """
    columns = probabilities[:, np.newaxis] if probabilities.ndim == 1 else probabilities
    if columns.ndim != 2:
        raise ComponentError(f"a confidence has one or two dimensions, not the shape {probabilities.shape}")
    reached = limits.reaches(columns, until).any(axis=1)
    return np.where(reached, 0, 1).astype(np.int32)


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:  # noqa: ARG001
    require_numeric(types)
    (probabilities,) = types
    if probabilities.rank > 2:
        message = f"needs a tensor of one or two dimensions, not `{probabilities}`"
        raise SignatureError(message, input=0)
    return choices_of(probabilities.shape[0])


COMPONENT = Component(
    name="confidence",
    role=Role.ROUTER,
    summary="Chooses 0 where the greatest of a row reaches a limit, else 1.",
    signature=_signature,
    function=confidence,
    inputs=("value",),
    outputs=("choice",),
    parameters=(
        Parameter(name="until", kind=ParameterKind.NUMBER, required=True, doc="The limit that is enough."),
    ),
)
