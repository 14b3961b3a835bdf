"""Scores turned into probabilities, computed in FP64 and rounded once."""

from __future__ import annotations

from graphc_components.arguments import integer, number
from graphc_components.component import Component, Parameter, ParameterKind, Role, Values, axis_parameter
from graphc_components.late import datatypes, np, quiet, steps
from graphc_components.signatures import along_axis


@quiet
def softmax(x: datatypes.Array, *, axis: int = -1, temperature: float = 1.0) -> datatypes.Array:
    """Return `exp(x / temperature)`, made to sum to 1 along an axis."""
    values = datatypes.floats(x)
    # Less the greatest, because the exponential of a large number overflows.
    powers = np.exp((values - values.max(axis=axis, keepdims=True, initial=-np.inf)) / temperature)
    return (powers / powers.sum(axis=axis, keepdims=True)).astype(datatypes.float_dtype([x]))


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the softmax.

    It divides by the temperature first, which in FP64 rounds unlike the function, except for what was FP32.
    """
    temperature = number(values, "temperature")
    axis = steps.sized_axis(writer, integer(values, "axis"))
    is_even = temperature == 1 or (writer.types[0].datatype == "FP32" and temperature > 1e-200)
    if steps.rounds_twice(writer) or axis is None or not is_even:
        return None
    result = steps.in_fp64(writer)[0]
    if temperature != 1:
        result = writer.add("Div", result, writer.number(temperature))
    return [steps.answer(writer, writer.add("Softmax", result, axis=axis))]


COMPONENT = Component(
    name="softmax",
    role=Role.TRANSFORMER,
    summary="Turns scores into probabilities that sum to 1 along an axis.",
    signature=along_axis,
    function=softmax,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        axis_parameter("The axis along which numbers belong together."),
        Parameter(
            name="temperature",
            kind=ParameterKind.NUMBER,
            default=1,
            above=0,
            doc="What the scores are divided by; above 1 evens the probabilities out.",
        ),
    ),
)
