"""Compares numbers with a limit as the file states it.

For floats the limit is rounded to their own datatype first: an FP32 0.7 is meant to reach 0.7. For integers
the next whole number up is compared, which is exact, where numpy would round both sides to FP64. NaN meets no
limit.
"""

import math

import numpy as np

from graphc_components.datatypes import Booleans, Numbers, is_float


def is_below(x: Numbers, limit: float) -> Booleans:
    """Tell which numbers are less than a limit."""
    return x < _comparable(x, limit)


def reaches(x: Numbers, limit: float) -> Booleans:
    """Tell which numbers are at least a limit."""
    return x >= _comparable(x, limit)


def _comparable(x: Numbers, limit: float) -> Numbers | int:
    if not is_float(x):
        return math.ceil(limit)
    with np.errstate(over="ignore"):
        return np.asarray(limit, dtype=np.float64).astype(x.dtype)
