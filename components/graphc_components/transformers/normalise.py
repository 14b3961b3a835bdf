"""Numbers divided by a norm or brought to the range 0 to 1, computed in FP64 and rounded once."""

from __future__ import annotations

from graphc_components.arguments import integer, text
from graphc_components.component import Component, Parameter, ParameterKind, Role, Values, axis_parameter
from graphc_components.late import datatypes, np, quiet, steps
from graphc_components.signatures import along_axis


@quiet
def normalise(x: datatypes.Array, *, norm: str = "l2", axis: int = -1) -> datatypes.Array:
    """Divide by the norm along an axis, or bring to the range 0 to 1 (`minmax`); zeros stay zeros."""
    values = datatypes.floats(x)
    if norm == "minmax":
        low = values.min(axis=axis, keepdims=True, initial=np.inf)
        values = values - np.where(np.isfinite(low), low, np.nan)
    # By the greatest first, because the square of a large number overflows.
    scaled = _divide(values, np.abs(values).max(axis=axis, keepdims=True, initial=0.0))
    return _divide(scaled, _norm(scaled, norm, axis)).astype(datatypes.float_dtype([x]))


def _divide(values: datatypes.Floats, by: datatypes.Floats) -> datatypes.Floats:
    return values / np.where(by == 0, 1.0, by)


def _norm(values: datatypes.Floats, norm: str, axis: int) -> datatypes.Floats:
    magnitudes = np.abs(values)
    match norm:
        case "l1":
            return magnitudes.sum(axis=axis, keepdims=True)
        case "l2":
            return np.sqrt(np.square(magnitudes).sum(axis=axis, keepdims=True))
        case _:
            return magnitudes.max(axis=axis, keepdims=True, initial=0.0)


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the division by a norm, or the range from 0 to 1."""
    axis, norm = steps.sized_axis(writer, integer(values, "axis")), text(values, "norm")
    if steps.rounds_twice(writer) or axis is None:
        return None
    result = steps.in_fp64(writer)[0]
    if norm == "minmax":
        result = _from_zero(writer, result, axis)
    greatest = steps.reduce_axis(writer, "ReduceMax", writer.add("Abs", result), axis)
    scaled = _state_divide(writer, result, greatest)
    return [steps.answer(writer, _state_divide(writer, scaled, _state_norm(writer, scaled, norm, axis)))]


def _from_zero(writer: steps.Writer, value: str, axis: int) -> str:
    low = steps.reduce_axis(writer, "ReduceMin", value, axis)
    is_finite = writer.add("Less", writer.add("Abs", low), writer.number(np.inf))
    return writer.add("Sub", value, writer.add("Where", is_finite, low, writer.number(np.nan)))


def _state_divide(writer: steps.Writer, value: str, by: str) -> str:
    is_zero = writer.add("Equal", by, writer.number(0))
    return writer.add("Div", value, writer.add("Where", is_zero, writer.number(1), by))


def _state_norm(writer: steps.Writer, value: str, norm: str, axis: int) -> str:
    if norm == "l2":
        squares = writer.add("Mul", value, value)
        return writer.add("Sqrt", steps.reduce_axis(writer, "ReduceSum", squares, axis))
    magnitudes = writer.add("Abs", value)
    total = steps.reduce_axis(writer, "ReduceSum", magnitudes, axis)
    if norm == "l1":
        return total
    # The greatest may overlook NaN, which the sum of numbers from -1 to 1 does not.
    greatest = steps.reduce_axis(writer, "ReduceMax", magnitudes, axis)
    return writer.add("Where", writer.add("IsNaN", total), writer.number(np.nan), greatest)


COMPONENT = Component(
    name="normalise",
    role=Role.TRANSFORMER,
    summary="Divides by a norm along an axis, or brings to the range 0 to 1.",
    signature=along_axis,
    function=normalise,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        Parameter(
            name="norm",
            kind=ParameterKind.STRING,
            default="l2",
            options=("l1", "l2", "max", "minmax"),
            doc="The norm that becomes 1; `minmax` brings the least to 0 and the greatest to 1.",
        ),
        axis_parameter("The axis along which numbers belong together."),
    ),
)
