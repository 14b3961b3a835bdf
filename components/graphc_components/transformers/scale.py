"""Numbers less a mean and divided by a scale, computed in FP64 and rounded once."""

from __future__ import annotations

from collections.abc import Sequence

from graphc_components.arguments import number, numbers
from graphc_components.component import (
    Component,
    ComponentError,
    Parameter,
    ParameterKind,
    Role,
    SignatureError,
    Values,
)
from graphc_components.late import datatypes, np, quiet, steps
from graphc_components.signatures import float_datatype, require_numeric, require_rank, require_size
from graphc_components.tensors import TensorType


@quiet
def scale(
    x: datatypes.Array, *, mean: float | Sequence[float] = 0.0, scale: float | Sequence[float] = 1.0
) -> datatypes.Array:
    """Return `(x - mean) / scale`; a list has one number for each column of the last axis."""
    return ((datatypes.floats(x) - _column(x, mean)) / _column(x, scale)).astype(datatypes.float_dtype([x]))


def _column(x: datatypes.Array, value: float | Sequence[float]) -> datatypes.Floats:
    column = np.asarray(value, dtype=np.float64)
    # numpy would repeat a single column to the length of the list.
    if column.ndim and column.size != x.shape[-1]:
        raise ComponentError(
            f"the last axis has {x.shape[-1]} columns, and the parameters are for {column.size}"
        )
    return column


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
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


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the scaling."""
    mean, divisor = _state_column(values, "mean"), _state_column(values, "scale")
    has_columns = mean.ndim or divisor.ndim
    # Operators would repeat a single column to the length of the list.
    if steps.rounds_twice(writer) or (has_columns and not isinstance(writer.types[0].shape[-1], int)):
        return None
    result = steps.in_fp64(writer)[0]
    if mean.any():
        result = writer.add("Sub", result, writer.constant(mean))
    if (divisor != 1).any():
        result = writer.add("Div", result, writer.constant(divisor))
    return [steps.answer(writer, result)]


def _state_column(values: Values, name: str) -> datatypes.Array:
    value = values[name]
    column = number(values, name) if isinstance(value, int | float) else numbers(values, name)
    return np.asarray(column, dtype=np.float64)


COMPONENT = Component(
    name="scale",
    role=Role.TRANSFORMER,
    summary="Subtracts a mean and divides by a scale, for all columns or for each.",
    signature=_signature,
    function=scale,
    onnx=_onnx,
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
