"""Routers: functions that choose a branch for each row, as INT32 `[rows]`.

Where no condition holds the choice is the number of conditions: the branch without one, if there is any.
"""

import hashlib
import secrets
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

import numpy as np
import numpy.typing as npt

from graphc_components.component import ComponentError
from graphc_components.datatypes import Array, Booleans, Floats, Numbers
from graphc_components.limits import is_below, reaches

_HASH_BITS = 53
Choices = npt.NDArray[np.int32]


def threshold(value: Numbers, *, below: Sequence[float]) -> Choices:
    """Choose the first limit that the value is below; NaN is below none."""
    rows = cast("Numbers", _one_per_row(value))
    return _first([is_below(rows, limit) for limit in below])


def equals(value: Array, *, equals: Sequence[bool | int | float | str]) -> Choices:
    """Choose the first value that the row's equals; a number is rounded to the tensor's datatype first."""
    rows = _one_per_row(value)
    wanted = [each.encode() if isinstance(each, str) else each for each in equals]
    return _first([cast("Booleans", rows == np.asarray(each, dtype=rows.dtype)) for each in wanted])


def random(rows: int, *, weights: Sequence[float], key: str | None = None, salt: str = "") -> Choices:
    """Choose by weight: with a key, always the same for that key and salt; without one, anew for each row.

    The choice of a key moves only between neighbouring branches when a weight changes.
    """
    if key is None:
        draws = np.asarray([secrets.randbits(_HASH_BITS) for _ in range(rows)], dtype=np.float64)
    else:
        draws = np.full(rows, _hash(salt, key), dtype=np.float64)
    return _by_weight(draws / 2**_HASH_BITS, weights)


def confidence(probabilities: Numbers, *, until: float) -> Choices:
    """Choose 0 where the greatest number of a row reaches `until`, else 1; NaN reaches nothing.

    A tensor of one dimension is the confidence itself.
    """
    columns = probabilities[:, np.newaxis] if probabilities.ndim == 1 else probabilities
    if columns.ndim != 2:
        raise ComponentError(f"a confidence has one or two dimensions, not the shape {probabilities.shape}")
    reached = reaches(columns, until).any(axis=1)
    return np.where(reached, 0, 1).astype(np.int32)


def _one_per_row(value: Array) -> Array:
    if value.ndim not in (1, 2) or value.size != value.shape[0]:
        raise ComponentError(f"a router reads one value for each row, not the shape {value.shape}")
    return value.reshape(-1)


def _first(matches: Sequence[Booleans]) -> Choices:
    # The row of trues at the end is met where nothing else is.
    table = np.stack([*matches, np.ones_like(matches[0])])
    return table.argmax(axis=0).astype(np.int32)


def _hash(salt: str, key: str) -> int:
    # Python's own hash differs from process to process, and every replica must choose alike.
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _HASH_BITS)


def _by_weight(draws: Floats, weights: Sequence[float]) -> Choices:
    ends = np.asarray(list(accumulate(weights)), dtype=np.float64)
    return np.asarray(np.searchsorted(ends, draws * ends[-1], side="right"), dtype=np.int32)
