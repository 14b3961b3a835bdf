"""Transformers that scale numbers, computed in FP64; answers keep a float datatype, integers give FP64."""

from collections.abc import Sequence

import numpy as np

from graphc_components.component import ComponentError
from graphc_components.datatypes import Array, Floats, Numbers, float_dtype, floats, is_float


@np.errstate(all="ignore")
def scale(x: Array, *, mean: float | Sequence[float] = 0.0, scale: float | Sequence[float] = 1.0) -> Array:
    """Return `(x - mean) / scale`; a list has one number for each column of the last axis."""
    return ((floats(x) - _column(x, mean)) / _column(x, scale)).astype(float_dtype([x]))


@np.errstate(all="ignore")
def normalise(x: Array, *, norm: str = "l2", axis: int = -1) -> Array:
    """Divide by the norm along an axis, or bring to the range 0 to 1 (`minmax`); zeros stay zeros."""
    values = floats(x)
    if norm == "minmax":
        low = values.min(axis=axis, keepdims=True, initial=np.inf)
        values = values - np.where(np.isfinite(low), low, np.nan)
    # By the greatest first, because the square of a large number overflows.
    scaled = _divide(values, np.abs(values).max(axis=axis, keepdims=True, initial=0.0))
    return _divide(scaled, _norm(scaled, norm, axis)).astype(float_dtype([x]))


@np.errstate(all="ignore")
def softmax(x: Array, *, axis: int = -1, temperature: float = 1.0) -> Array:
    """Return `exp(x / temperature)`, made to sum to 1 along an axis."""
    values = floats(x)
    # Less the greatest, because the exponential of a large number overflows.
    powers = np.exp((values - values.max(axis=axis, keepdims=True, initial=-np.inf)) / temperature)
    return (powers / powers.sum(axis=axis, keepdims=True)).astype(float_dtype([x]))


def clip(x: Numbers, *, low: float | None = None, high: float | None = None) -> Array:
    """Bring each number into `low` to `high`, in its own datatype; NaN stays NaN."""
    least, greatest = _bound(x, low), _bound(x, high)
    clipped = x if least is None else np.maximum(x, least)
    return (clipped if greatest is None else np.minimum(clipped, greatest)).astype(x.dtype)


def _column(x: Array, value: float | Sequence[float]) -> Floats:
    column = np.asarray(value, dtype=np.float64)
    # numpy would repeat a single column to the length of the list.
    if column.ndim and column.size != x.shape[-1]:
        raise ComponentError(
            f"the last axis has {x.shape[-1]} columns, and the parameters are for {column.size}"
        )
    return column


def _norm(values: Floats, norm: str, axis: int) -> Floats:
    magnitudes = np.abs(values)
    match norm:
        case "l1":
            return magnitudes.sum(axis=axis, keepdims=True)
        case "l2":
            return np.sqrt(np.square(magnitudes).sum(axis=axis, keepdims=True))
        case _:
            return magnitudes.max(axis=axis, keepdims=True, initial=0.0)


def _divide(values: Floats, by: Floats) -> Floats:
    return values / np.where(by == 0, 1.0, by)


def _bound(x: Numbers, value: float | None) -> Numbers | None:
    if value is None:
        return None
    if is_float(x):
        with np.errstate(over="ignore"):
            return np.asarray(value).astype(x.dtype)
    limits = np.iinfo(str(x.dtype))
    # A bound outside of the datatype bounds nothing; the signature refuses one that nothing could satisfy.
    within = min(max(int(value), int(limits.min)), int(limits.max))
    return np.asarray(within, dtype=x.dtype)
