"""Steps that the ONNX forms of several components share."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from graphc_components.onnx_forms.writer import ML, Writer
from graphc_components.signatures import float_datatype
from graphc_components.tensors import FLOATS, INTEGERS

__all__ = [
    "ML",
    "ORDERED",
    "Writer",
    "answer",
    "average",
    "extreme",
    "in_fp64",
    "look_up",
    "order",
    "rank",
    "reduce_axis",
    "rounds_twice",
    "sized_axis",
]

ORDERED: Final = frozenset({"FP32", "FP64", "INT32", "INT64"})
"""What onnxruntime compares and orders; smaller integers are converted to INT64 and back, which loses nothing."""

_EXTREMES: Final = ORDERED | {"UINT32", "UINT64"}

# Before this version of the operator set, the axes of these reductions were an attribute.
_REDUCE_SINCE: Final = 18


def rounds_twice(writer: Writer) -> bool:
    """Say whether an answer would be rounded twice: onnxruntime goes from FP64 to FP16 through FP32."""
    return float_datatype(writer.types) == "FP16"


def in_fp64(writer: Writer) -> list[str]:
    """Return the inputs in FP64, in which functions compute."""
    pairs = zip(writer.inputs, writer.types, strict=True)
    return [writer.cast(name, each.datatype, "FP64") for name, each in pairs]


def answer(writer: Writer, value: str) -> str:
    """Round a value in FP64 to the float datatype of the answer."""
    return writer.cast(value, "FP64", float_datatype(writer.types))


def average(writer: Writer, weights: Sequence[float]) -> str | None:
    """State the average by weight of all inputs."""
    if rounds_twice(writer):
        return None
    terms = zip(writer.same_shapes(in_fp64(writer)), weights, strict=True)
    weighed = [
        each if weight == 1 else writer.add("Mul", each, writer.number(weight))
        for each, weight in terms
        if weight
    ]
    total = weighed[0]
    for each in weighed[1:]:
        total = writer.add("Add", total, each)
    return answer(writer, writer.add("Div", total, writer.number(float(sum(weights)))))


def extreme(writer: Writer, operator: str) -> list[str] | None:
    """State the least or the greatest of all inputs: by `Min` or `Max`."""
    datatype = writer.types[0].datatype
    compared = datatype if datatype in _EXTREMES else "INT64"
    if compared != datatype and datatype not in INTEGERS:
        return None
    inputs = writer.same_shapes([writer.cast(each, datatype, compared) for each in writer.inputs])
    return [writer.cast(writer.add(operator, *inputs), compared, datatype)]


def order(writer: Writer) -> tuple[str, str] | None:
    """Return the input in a datatype that onnxruntime orders, with that datatype."""
    datatype = writer.types[0].datatype
    if datatype in ORDERED:
        return writer.inputs[0], datatype
    if datatype not in INTEGERS - {"UINT64"}:
        return None
    return writer.cast(writer.inputs[0], datatype, "INT64"), "INT64"


def rank(writer: Writer, name: str, datatype: str) -> str:
    """Return a value in which NaN is minus infinity."""
    if datatype not in FLOATS:
        return name
    return writer.add("Where", writer.add("IsNaN", name), writer.number(-np.inf, datatype), name)


def look_up(writer: Writer, known: Sequence[int]) -> str | None:
    """Return the place of each value of the input among those known, or else the number of them.

    Operators raise nothing for a value that is unknown, but reading a table fails for an index that it does not
    have: so what is unknown gets the index after the last.
    """
    datatype = writer.types[0].datatype
    if datatype not in (INTEGERS | {"BOOL"}) - {"UINT64"} or not known:
        return None
    wide = writer.cast(writer.inputs[0], datatype, "INT64")
    return writer.add(
        "LabelEncoder",
        wide,
        domain=ML,
        keys_int64s=tuple(known),
        values_int64s=tuple(range(len(known))),
        default_int64=len(known),
    )


def sized_axis(writer: Writer, axis: int) -> int | None:
    """Return an axis counted from the front; None where it may be empty, for which onnxruntime has no greatest."""
    counted = axis % writer.types[0].rank
    size = writer.types[0].shape[counted]
    return counted if isinstance(size, int) and size > 0 else None


def reduce_axis(writer: Writer, operator: str, value: str, axis: int) -> str:
    """Reduce a value along an axis, which keeps the size 1."""
    # The sum has taken its axes as an input for longer than the others.
    since = 13 if operator == "ReduceSum" else _REDUCE_SINCE
    return writer.add(operator, value, writer.sizes(axis), keepdims=1, since=since)
