"""Combiners: functions of several arrays of one shape. None changes its inputs.

Means, medians and votes by probability are computed in FP64 and rounded once; they answer in the widest float
datatype among the inputs, FP64 where one of them holds integers. NaN in an input makes NaN in the answer.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Final, cast

import numpy as np

from graphc_components.component import ComponentError
from graphc_components.datatypes import (
    Array,
    Booleans,
    Floats,
    Numbers,
    float_dtype,
    floats,
    require_one_shape,
)

# Sums of weights such as 0.1 + 0.2 and 0.3 are a tie to whoever wrote them.
_TIE_DECIMALS: Final = 12


@np.errstate(all="ignore")
def mean(*tensors: Array) -> Array:
    """Average the inputs, element by element."""
    require_one_shape(tensors)
    total = floats(tensors[0])
    for tensor in tensors[1:]:
        # numpy adds arrays of two datatypes more slowly than it makes one of them the other's.
        total += floats(tensor)
    total /= len(tensors)
    return total.astype(float_dtype(tensors))


@np.errstate(all="ignore")
def weighted_mean(*tensors: Array, weights: Sequence[float]) -> Array:
    """Average the inputs, each counted by its weight."""
    return _weighted(tensors, weights).astype(float_dtype(tensors))


@np.errstate(all="ignore")
def soft_vote(*tensors: Array, weights: Sequence[float] | None = None) -> tuple[Array, Array]:
    """Average probabilities and tell which is the greatest along the last axis.

    The first of equals wins; NaN counts as minus infinity.
    """
    probabilities = _weighted(tensors, weights or [1.0] * len(tensors)).astype(float_dtype(tensors))
    ranked = np.where(np.isnan(probabilities), -np.inf, probabilities)
    return probabilities, ranked.argmax(axis=-1).astype(np.int64)


def hard_vote(*tensors: Array, weights: Sequence[float] | None = None) -> Array:
    """Return the label that most inputs agree on, element by element, for labels of any datatype.

    Of tied labels, the one that the earliest input gives wins; weighted votes are tied when they are equal to
    twelve decimals of all weights together. NaN agrees with nothing.
    """
    require_one_shape(tensors)
    shares = np.asarray(weights or [1.0] * len(tensors), dtype=np.float64)
    shares = shares / shares.sum()
    winner = np.stack([_votes(tensors, label, shares) for label in tensors]).argmax(axis=0)
    return np.take_along_axis(np.stack(tensors), winner[np.newaxis], axis=0)[0]


@np.errstate(all="ignore")
def median(*tensors: Array) -> Array:
    """Return the median of the inputs, element by element: the mean of the middle two of an even number."""
    require_one_shape(tensors)
    ordered = np.sort(np.stack([floats(tensor) for tensor in tensors]), axis=0)
    half, odd = divmod(len(tensors), 2)
    middle = ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2
    # NaN sorts last, so the last one tells whether there is any.
    return np.where(np.isnan(ordered[-1]), np.nan, middle).astype(float_dtype(tensors))


def minimum(*tensors: Numbers) -> Array:
    """Return the least of the inputs, element by element, in their own datatype; NaN wins."""
    require_one_shape(tensors)
    return reduce(np.minimum, tensors[1:], tensors[0].copy())


def maximum(*tensors: Numbers) -> Array:
    """Return the greatest of the inputs, element by element, in their own datatype; NaN wins."""
    require_one_shape(tensors)
    return reduce(np.maximum, tensors[1:], tensors[0].copy())


def stack(*tensors: Array, axis: int = -1) -> Array:
    """Join the inputs along a new axis."""
    require_one_shape(tensors)
    return np.stack(tensors, axis=axis)


def concat(*tensors: Array, axis: int = -1) -> Array:
    """Join the inputs along an axis that they have."""
    try:
        return np.concatenate(tensors, axis=axis)
    except ValueError:
        shapes = " and ".join(str(tensor.shape) for tensor in tensors)
        raise ComponentError(f"shapes {shapes} do not join along axis {axis}") from None


def _weighted(tensors: Sequence[Array], weights: Sequence[float]) -> Floats:
    require_one_shape(tensors)
    pairs = zip(tensors, weights, strict=True)
    # An input that does not count must not spread its NaN, which 0 * NaN would.
    terms = [floats(tensor) * weight for tensor, weight in pairs if weight]
    return reduce(np.add, terms) / sum(weights)


def _votes(tensors: Sequence[Array], label: Array, shares: Floats) -> Floats:
    agreeing = np.stack([cast("Booleans", tensor == label) for tensor in tensors])
    return np.tensordot(shares, agreeing.astype(np.float64), axes=1).round(_TIE_DECIMALS)
