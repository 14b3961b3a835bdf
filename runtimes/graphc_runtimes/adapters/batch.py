"""Lets models that refuse a batch without rows have one."""

from collections.abc import Callable

import numpy as np
from graphc_components.datatypes import Array


def over_rows(function: Callable[[Array], Array], rows: Array) -> Array:
    """Apply a function of rows; without rows, its answer for a row of zeros, less that row.

    A branch that no row took still needs the type of what it would have given.
    """
    if len(rows):
        return function(rows)
    blank = np.full((1, *rows.shape[1:]), "" if rows.dtype.kind == "O" else 0, rows.dtype)
    return function(blank)[:0]
