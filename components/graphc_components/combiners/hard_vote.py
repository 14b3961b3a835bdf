"""The label that most inputs give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from graphc_components.arguments import numbers
from graphc_components.component import Component, Role, Values, weights_parameter
from graphc_components.late import datatypes, np, steps
from graphc_components.signatures import same_type

# Sums of weights such as 0.1 + 0.2 and 0.3 are a tie to the author of a file.
_TIE_DECIMALS: Final = 12

# onnxruntime compares smaller integers and BOOL as INT64, which loses nothing.
_WIDENED: Final = frozenset({"BOOL", "INT8", "INT16", "UINT8", "UINT16", "UINT32"})


def hard_vote(*tensors: datatypes.Array, weights: Sequence[float] | None = None) -> datatypes.Array:
    """Return the label that most inputs agree on, element by element, for labels of any datatype.

    Of tied labels, the one that the earliest input gives wins; weighted votes are tied when they are equal to
    twelve decimals of all weights together. NaN agrees with nothing.
    """
    datatypes.require_one_shape(tensors)
    shares = np.asarray(weights or [1.0] * len(tensors), dtype=np.float64)
    shares = shares / shares.sum()
    winner = np.stack([_votes(tensors, label, shares) for label in tensors]).argmax(axis=0)
    return np.take_along_axis(np.stack(tensors), winner[np.newaxis], axis=0)[0]


def _votes(
    tensors: Sequence[datatypes.Array], label: datatypes.Array, shares: datatypes.Floats
) -> datatypes.Floats:
    agreeing = np.stack([cast("datatypes.Booleans", tensor == label) for tensor in tensors])
    return np.tensordot(shares, agreeing.astype(np.float64), axes=1).round(_TIE_DECIMALS)


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """Count how many give what each input gives, and take the first input with the greatest count."""
    datatype = writer.types[0].datatype
    compared = datatype if datatype in steps.ORDERED else "INT64"
    if compared != datatype and datatype not in _WIDENED:
        return None
    stacked = writer.stack([writer.cast(each, datatype, compared) for each in writer.inputs], 0)
    left, right = (writer.add("Unsqueeze", stacked, writer.sizes(axis)) for axis in (1, 0))
    agreeing = writer.cast(writer.add("Equal", left, right), "BOOL", "FP64")
    votes = _count_votes(writer, agreeing, values)
    winner = writer.add("ArgMax", votes, axis=0, keepdims=1)
    chosen = writer.add("GatherElements", stacked, winner, axis=0)
    return [writer.cast(writer.add("Squeeze", chosen, writer.sizes(0)), compared, datatype)]


def _count_votes(writer: steps.Writer, agreeing: str, values: Values) -> str:
    weights = numbers(values, "weights") if "weights" in values else [1.0]
    if len(set(weights)) == 1:
        return writer.add("ReduceSum", agreeing, writer.sizes(1), keepdims=0)
    shares = np.asarray(weights, dtype=np.float64)
    column = (shares / shares.sum()).reshape(-1, *[1] * writer.types[0].rank)
    weighed = writer.add("Mul", agreeing, writer.constant(column))
    total = writer.add("ReduceSum", weighed, writer.sizes(1), keepdims=0)
    return writer.add("Round", writer.add("Mul", total, writer.number(10.0**_TIE_DECIMALS)))


COMPONENT = Component(
    name="hard-vote",
    role=Role.COMBINER,
    summary="Takes the label that most inputs give; of tied labels, the one that the earliest input gives.",
    signature=same_type,
    function=hard_vote,
    onnx=_onnx,
    parameters=(weights_parameter(),),
)
