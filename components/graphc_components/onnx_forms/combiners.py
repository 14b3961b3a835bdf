"""The ONNX forms of the combiners, which compute in FP64 as the functions do."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from graphc_components.arguments import integer, numbers
from graphc_components.component import Value
from graphc_components.onnx_forms.writer import Writer
from graphc_components.signatures import float_datatype
from graphc_components.tensors import INTEGERS

Values = Mapping[str, Value]

# onnxruntime compares and orders these; smaller integers are converted to INT64 and back, which loses nothing.
_ORDERED: Final = frozenset({"FP32", "FP64", "INT32", "INT64"})
_EXTREMES: Final = frozenset({"FP32", "FP64", "INT32", "INT64", "UINT32", "UINT64"})
_WIDENED: Final = frozenset({"BOOL", "INT8", "INT16", "UINT8", "UINT16", "UINT32"})

# A number that twelve decimals are the whole part of, as in `combiners.hard_vote`.
_TIE_UNIT: Final = 1e12


def mean(writer: Writer, values: Values) -> list[str] | None:  # noqa: ARG001
    """State the mean."""
    found = _average(writer, [1.0] * len(writer.inputs))
    return None if found is None else [found]


def weighted_mean(writer: Writer, values: Values) -> list[str] | None:
    """State the weighted mean."""
    found = _average(writer, numbers(values, "weights"))
    return None if found is None else [found]


def soft_vote(writer: Writer, values: Values) -> list[str] | None:
    """State the mean with the place of its greatest."""
    weights = numbers(values, "weights") if "weights" in values else [1.0] * len(writer.inputs)
    average = _average(writer, weights)
    if average is None or not _is_sized(writer.types[0].shape[-1]):
        return None
    datatype = float_datatype(writer.types)
    missing = writer.add("IsNaN", average)
    ranked = writer.add("Where", missing, writer.number(-np.inf, datatype), average)
    return [average, writer.add("ArgMax", ranked, axis=-1, keepdims=0)]


def median(writer: Writer, values: Values) -> list[str] | None:  # noqa: ARG001
    """State the median."""
    datatype = float_datatype(writer.types)
    if datatype == "FP16":
        return None
    count = len(writer.inputs)
    stacked = writer.stack(_in_fp64(writer), writer.types[0].rank)
    writer.add("TopK", stacked, writer.sizes(count), outputs=2, axis=-1, largest=0, sorted=1)
    ordered = writer.first_output()
    middles = [writer.number(index, "INT64") for index in ((count - 1) // 2, count // 2)]
    low, high = (writer.add("Gather", ordered, index, axis=-1) for index in middles)
    middle = low if count % 2 else writer.add("Div", writer.add("Add", low, high), writer.number(2))
    # NaN has no place in the order.
    missing = writer.cast(writer.add("IsNaN", stacked), "BOOL", "FP32")
    found = writer.add("ReduceSum", missing, writer.sizes(-1), keepdims=0)
    is_missing = writer.add("Greater", found, writer.number(0, "FP32"))
    result = writer.add("Where", is_missing, writer.number(np.nan), middle)
    return [writer.cast(result, "FP64", datatype)]


def minimum(writer: Writer, values: Values) -> list[str] | None:  # noqa: ARG001
    """State the least."""
    return _extreme(writer, "Min")


def maximum(writer: Writer, values: Values) -> list[str] | None:  # noqa: ARG001
    """State the greatest."""
    return _extreme(writer, "Max")


def stack(writer: Writer, values: Values) -> list[str] | None:
    """State the joining along a new axis."""
    return [writer.stack(writer.inputs, integer(values, "axis") % (writer.types[0].rank + 1))]


def concat(writer: Writer, values: Values) -> list[str] | None:
    """State the joining along an axis."""
    return [writer.add("Concat", *writer.inputs, axis=integer(values, "axis") % writer.types[0].rank)]


def hard_vote(writer: Writer, values: Values) -> list[str] | None:
    """State the vote: how many give what each input gives, and whose is the first greatest count."""
    datatype = writer.types[0].datatype
    compared = datatype if datatype in _ORDERED else "INT64"
    if compared != datatype and datatype not in _WIDENED:
        return None
    stacked = writer.stack([writer.cast(each, datatype, compared) for each in writer.inputs], 0)
    left, right = (writer.add("Unsqueeze", stacked, writer.sizes(axis)) for axis in (1, 0))
    agreeing = writer.cast(writer.add("Equal", left, right), "BOOL", "FP64")
    votes = _count_votes(writer, agreeing, values)
    winner = writer.add("ArgMax", votes, axis=0, keepdims=1)
    chosen = writer.add("GatherElements", stacked, winner, axis=0)
    return [writer.cast(writer.add("Squeeze", chosen, writer.sizes(0)), compared, datatype)]


def _count_votes(writer: Writer, agreeing: str, values: Values) -> str:
    weights = numbers(values, "weights") if "weights" in values else [1.0]
    if len(set(weights)) == 1:
        return writer.add("ReduceSum", agreeing, writer.sizes(1), keepdims=0)
    shares = np.asarray(weights, dtype=np.float64)
    column = (shares / shares.sum()).reshape(-1, *[1] * writer.types[0].rank)
    weighed = writer.add("Mul", agreeing, writer.constant(column))
    total = writer.add("ReduceSum", weighed, writer.sizes(1), keepdims=0)
    return writer.add("Round", writer.add("Mul", total, writer.number(_TIE_UNIT)))


def _average(writer: Writer, weights: Sequence[float]) -> str | None:
    datatype = float_datatype(writer.types)
    # onnxruntime rounds from FP64 to FP16 twice.
    if datatype == "FP16":
        return None
    terms = zip(writer.same_shapes(_in_fp64(writer)), weights, strict=True)
    weighed = [
        each if weight == 1 else writer.add("Mul", each, writer.number(weight))
        for each, weight in terms
        if weight
    ]
    total = weighed[0]
    for each in weighed[1:]:
        total = writer.add("Add", total, each)
    return writer.cast(writer.add("Div", total, writer.number(float(sum(weights)))), "FP64", datatype)


def _in_fp64(writer: Writer) -> list[str]:
    pairs = zip(writer.inputs, writer.types, strict=True)
    return [writer.cast(name, each.datatype, "FP64") for name, each in pairs]


def _extreme(writer: Writer, operator: str) -> list[str] | None:
    datatype = writer.types[0].datatype
    compared = datatype if datatype in _EXTREMES else "INT64"
    if compared != datatype and datatype not in INTEGERS:
        return None
    inputs = writer.same_shapes([writer.cast(each, datatype, compared) for each in writer.inputs])
    return [writer.cast(writer.add(operator, *inputs), compared, datatype)]


def _is_sized(dim: int | str | None) -> bool:
    return isinstance(dim, int) and dim > 0
