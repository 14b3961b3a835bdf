"""The average of tensors with weights, computed in FP64 and rounded once; an input of weight 0 is not looked at."""

from __future__ import annotations

from collections.abc import Sequence

from graphc_components.arguments import numbers
from graphc_components.component import Component, Role, Values, weights_parameter
from graphc_components.late import datatypes, quiet, steps
from graphc_components.signatures import average


@quiet
def weighted_mean(*tensors: datatypes.Array, weights: Sequence[float]) -> datatypes.Array:
    """Average the inputs, each counted by its weight."""
    return datatypes.weigh(tensors, weights).astype(datatypes.float_dtype(tensors))


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    found = steps.average(writer, numbers(values, "weights"))
    return None if found is None else [found]


COMPONENT = Component(
    name="weighted-mean",
    role=Role.COMBINER,
    summary="Averages its inputs, each counted by its weight.",
    signature=average,
    function=weighted_mean,
    onnx=_onnx,
    parameters=(weights_parameter(required=True),),
)
