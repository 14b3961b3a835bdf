"""Shapes that a client sends, checked before anything is made that is as large as they say."""

import math
from collections.abc import Sequence
from typing import Final

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.shown import show_shape

MOST_DIMS: Final = 32
"""As many dimensions every numpy takes."""
_MOST_SIZE: Final = 2**63 - 1
_MOST_EMPTY: Final = 2**24
"""Of a tensor without elements, the product of its other sizes: frameworks reckon with it."""


def count_elements(shape: Sequence[int]) -> int:
    """Return how many elements a shape has; raises ArrayError for one that no tensor can have."""
    if len(shape) > MOST_DIMS:
        raise ArrayError(f"has {len(shape)} dimensions; a tensor has at most {MOST_DIMS}")
    if not shape:
        return 1
    if min(shape) < 0:
        raise ArrayError(f"has a negative size in its shape {show_shape(shape)}")
    if max(shape) > _MOST_SIZE:
        raise ArrayError(f"has a size in its shape {show_shape(shape)} that no tensor can have")
    count = math.prod(shape)
    if not count and math.prod([size for size in shape if size]) > _MOST_EMPTY:
        raise ArrayError(f"has no elements, and the shape {show_shape(shape)}, which nobody can mean")
    return count


def is_shape(shape: Sequence[int]) -> bool:
    """Say whether a tensor can have a shape."""
    try:
        count_elements(shape)
    except ArrayError:
        return False
    return True


def disagree(count: int, shape: Sequence[int]) -> ArrayError:
    """Return the error of a tensor whose elements are not as many as its shape says."""
    return ArrayError(f"has {count} elements, which is not the shape {show_shape(shape)}")
