"""Transformers that move values and change none, for tensors of any datatype."""

import math
from collections.abc import Sequence

import numpy as np

from graphc_components.component import ComponentError
from graphc_components.datatypes import Array


def select(x: Array, *, columns: Sequence[int]) -> Array:
    """Return columns of the last axis, in the order given."""
    size = x.shape[-1]
    if max(columns) >= size:
        raise ComponentError(f"the last axis has {size} columns, and `columns` names {max(columns)}")
    return np.take(x, list(columns), axis=-1)


def reshape(x: Array, *, shape: Sequence[int]) -> Array:
    """Give each row another shape; one size may be -1, which is worked out."""
    size = math.prod(x.shape[1:])
    known = math.prod(dim for dim in shape if dim != -1)
    if size != known and (-1 not in shape or size % known):
        raise ComponentError(f"a row of {size} values does not have the shape {list(shape)}")
    # numpy cannot work out -1 for a batch of no rows.
    return x.reshape(x.shape[0], *(size // known if dim == -1 else dim for dim in shape)).copy()


def rename(*tensors: Array) -> tuple[Array, ...]:
    """Return the inputs as they are; the file's names for them become the names of the outputs."""
    return tuple(tensor.copy() for tensor in tensors)
