"""Transformers that choose: the greatest, or those from a limit up. NaN counts as minus infinity."""

import numpy as np

from graphc_components.component import ComponentError
from graphc_components.datatypes import Array, Numbers, is_float, to_numpy
from graphc_components.limits import reaches


def argmax(x: Numbers, *, axis: int = -1) -> Array:
    """Return the position of the greatest number along an axis; the first of equals."""
    if not x.shape[axis]:
        raise ComponentError(f"axis {axis} is empty, so nothing on it is the greatest")
    return _ranked(x).argmax(axis=axis).astype(np.int64, copy=False)


def top_k(x: Numbers, *, k: int) -> tuple[Array, Array]:
    """Return the `k` greatest numbers of the last axis, greatest first, and their positions.

    Equals stay in order.
    """
    size = x.shape[-1]
    if k > size:
        raise ComponentError(f"the last axis has {size} columns, and `k` is {k}")
    # Sorted backwards and turned around: unsigned numbers have no negative to sort by.
    rising = _ranked(x)[..., ::-1].argsort(axis=-1, kind="stable")
    indices = size - 1 - rising[..., ::-1][..., :k]
    return np.take_along_axis(x, indices, axis=-1), indices.astype(np.int64)


def threshold(x: Numbers, *, at: float, datatype: str = "BOOL") -> Array:
    """Tell which numbers are at least `at`, which is rounded to the input's datatype first; NaN is not."""
    return reaches(x, at).astype(to_numpy(datatype))


def _ranked(x: Numbers) -> Numbers:
    if not is_float(x) or not np.count_nonzero(unknown := np.isnan(x)):
        return x
    return np.where(unknown, np.asarray(-np.inf, dtype=x.dtype), x)
