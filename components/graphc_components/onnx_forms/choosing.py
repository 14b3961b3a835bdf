"""The ONNX forms of the transformers that choose."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from graphc_components.arguments import integer, number, text
from graphc_components.component import Value
from graphc_components.onnx_forms.writer import Writer
from graphc_components.tensors import FLOATS, INTEGERS, value_range

Values = Mapping[str, Value]

_ORDERED: Final = frozenset({"FP32", "FP64", "INT32", "INT64"})


def argmax(writer: Writer, values: Values) -> list[str] | None:
    """State the search; an axis that may be empty has no greatest, and operators differ in what they say."""
    axis = integer(values, "axis") % writer.types[0].rank
    size = writer.types[0].shape[axis]
    ordered = _ordered(writer)
    if ordered is None or not isinstance(size, int) or size == 0:
        return None
    return [writer.add("ArgMax", _ranked(writer, *ordered), axis=axis, keepdims=0)]


def top_k(writer: Writer, values: Values) -> list[str] | None:
    """State the search for several; both sides keep equals in order."""
    size = writer.types[0].shape[-1]
    ordered = _ordered(writer)
    if ordered is None or not isinstance(size, int):
        return None
    count = writer.sizes(integer(values, "k"))
    indices = writer.add("TopK", _ranked(writer, *ordered), count, outputs=2, axis=-1, largest=1, sorted=1)
    # Not the values that were ranked: NaN was ranked as minus infinity.
    return [writer.add("GatherElements", writer.inputs[0], indices, axis=-1), indices]


def threshold(writer: Writer, values: Values) -> list[str] | None:
    """State the comparison with a limit, rounded to the input's datatype as `limits` does."""
    ordered = _ordered(writer)
    if ordered is None:
        return None
    name, datatype = ordered
    limit = number(values, "at")
    if datatype not in FLOATS:
        limit = math.ceil(limit)
        least, greatest = value_range(datatype)
        if not least <= limit <= greatest:
            return None
    with np.errstate(over="ignore"):
        reached = writer.add("GreaterOrEqual", name, writer.number(limit, datatype))
    return [writer.cast(reached, "BOOL", text(values, "datatype"))]


def _ordered(writer: Writer) -> tuple[str, str] | None:
    """Return the input in a datatype that onnxruntime orders, with that datatype."""
    datatype = writer.types[0].datatype
    if datatype in _ORDERED:
        return writer.inputs[0], datatype
    if datatype not in INTEGERS - {"UINT64"}:
        return None
    return writer.cast(writer.inputs[0], datatype, "INT64"), "INT64"


def _ranked(writer: Writer, name: str, datatype: str) -> str:
    if datatype not in FLOATS:
        return name
    return writer.add("Where", writer.add("IsNaN", name), writer.number(-np.inf, datatype), name)
