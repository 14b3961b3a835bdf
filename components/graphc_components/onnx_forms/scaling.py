"""The ONNX forms of the transformers that scale numbers, which compute in FP64 as the functions do."""

from collections.abc import Mapping

import numpy as np

from graphc_components.arguments import integer, number, numbers, text
from graphc_components.component import Value
from graphc_components.datatypes import Array
from graphc_components.onnx_forms.writer import Writer
from graphc_components.signatures import float_datatype
from graphc_components.tensors import INTEGERS, value_range

Values = Mapping[str, Value]

# Before these, the axes were an attribute.
_REDUCE_SINCE = 18


def scale(writer: Writer, values: Values) -> list[str] | None:
    """State the scaling."""
    mean, divisor = _column(values, "mean"), _column(values, "scale")
    has_columns = mean.ndim or divisor.ndim
    # Operators would repeat a single column to the length of the list.
    if _is_rounded_twice(writer) or (has_columns and not isinstance(writer.types[0].shape[-1], int)):
        return None
    result = _in_fp64(writer)
    if mean.any():
        result = writer.add("Sub", result, writer.constant(mean))
    if (divisor != 1).any():
        result = writer.add("Div", result, writer.constant(divisor))
    return [_answer(writer, result)]


def softmax(writer: Writer, values: Values) -> list[str] | None:
    """State the softmax.

    It divides by the temperature first, which in FP64 rounds unlike the function, except for what was FP32.
    """
    temperature = number(values, "temperature")
    axis = _axis(writer, values)
    is_even = temperature == 1 or (writer.types[0].datatype == "FP32" and temperature > 1e-200)
    if _is_rounded_twice(writer) or axis is None or not is_even:
        return None
    result = _in_fp64(writer)
    if temperature != 1:
        result = writer.add("Div", result, writer.number(temperature))
    return [_answer(writer, writer.add("Softmax", result, axis=axis))]


def normalise(writer: Writer, values: Values) -> list[str] | None:
    """State the division by a norm, or the range from 0 to 1."""
    axis, norm = _axis(writer, values), text(values, "norm")
    if _is_rounded_twice(writer) or axis is None:
        return None
    result = _in_fp64(writer)
    if norm == "minmax":
        result = _from_zero(writer, result, axis)
    greatest = _reduce(writer, "ReduceMax", writer.add("Abs", result), axis)
    scaled = _divide(writer, result, greatest)
    return [_answer(writer, _divide(writer, scaled, _norm(writer, scaled, norm, axis)))]


def clip(writer: Writer, values: Values) -> list[str] | None:
    """State the clipping, by operators that keep NaN."""
    datatype = writer.types[0].datatype
    computed = "INT64" if datatype in INTEGERS - {"INT32", "UINT64"} else datatype
    if computed not in {"FP32", "FP64", "INT32", "INT64"}:
        return None
    result = writer.cast(writer.inputs[0], datatype, computed)
    for name, operator in (("low", "Max"), ("high", "Min")):
        if name in values:
            result = writer.add(operator, result, _bound(writer, number(values, name), datatype, computed))
    return [writer.cast(result, computed, datatype)]


def _bound(writer: Writer, value: float, datatype: str, computed: str) -> str:
    if datatype not in INTEGERS:
        with np.errstate(over="ignore"):
            return writer.number(value, computed)
    least, greatest = value_range(datatype)
    return writer.number(min(max(int(value), int(least)), int(greatest)), computed)


def _is_rounded_twice(writer: Writer) -> bool:
    # onnxruntime goes from FP64 to FP16 through FP32.
    return float_datatype(writer.types) == "FP16"


def _in_fp64(writer: Writer) -> str:
    return writer.cast(writer.inputs[0], writer.types[0].datatype, "FP64")


def _answer(writer: Writer, value: str) -> str:
    return writer.cast(value, "FP64", float_datatype(writer.types))


def _column(values: Values, name: str) -> Array:
    value = values[name]
    column = number(values, name) if isinstance(value, int | float) else numbers(values, name)
    return np.asarray(column, dtype=np.float64)


def _axis(writer: Writer, values: Values) -> int | None:
    """Return the axis; None where it may be empty, of which onnxruntime has no greatest."""
    axis = integer(values, "axis") % writer.types[0].rank
    size = writer.types[0].shape[axis]
    return axis if isinstance(size, int) and size > 0 else None


def _reduce(writer: Writer, operator: str, value: str, axis: int) -> str:
    # The sum has taken its axes as an input for longer than the others.
    since = 13 if operator == "ReduceSum" else _REDUCE_SINCE
    return writer.add(operator, value, writer.sizes(axis), keepdims=1, since=since)


def _from_zero(writer: Writer, value: str, axis: int) -> str:
    low = _reduce(writer, "ReduceMin", value, axis)
    is_finite = writer.add("Less", writer.add("Abs", low), writer.number(np.inf))
    return writer.add("Sub", value, writer.add("Where", is_finite, low, writer.number(np.nan)))


def _norm(writer: Writer, value: str, norm: str, axis: int) -> str:
    if norm == "l2":
        squares = writer.add("Mul", value, value)
        return writer.add("Sqrt", _reduce(writer, "ReduceSum", squares, axis))
    magnitudes = writer.add("Abs", value)
    total = _reduce(writer, "ReduceSum", magnitudes, axis)
    if norm == "l1":
        return total
    # The greatest may overlook NaN, which the sum of numbers from -1 to 1 does not.
    greatest = _reduce(writer, "ReduceMax", magnitudes, axis)
    return writer.add("Where", writer.add("IsNaN", total), writer.number(np.nan), greatest)


def _divide(writer: Writer, value: str, by: str) -> str:
    is_zero = writer.add("Equal", by, writer.number(0))
    return writer.add("Div", value, writer.add("Where", is_zero, writer.number(1), by))
