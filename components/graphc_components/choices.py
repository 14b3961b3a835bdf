"""What routers share: their input has one value for each row, and their choice is INT32 `[rows]`."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from graphc_components.component import ComponentError
from graphc_components.datatypes import Array, Booleans

Choices = npt.NDArray[np.int32]


def one_per_row(value: Array) -> Array:
    """Return the values as one dimension; raises ComponentError where a row has several."""
    if value.ndim not in (1, 2) or value.size != value.shape[0]:
        raise ComponentError(f"a router reads one value for each row, not the shape {value.shape}")
    return value.reshape(-1)


def first(matches: Sequence[Booleans]) -> Choices:
    """Return the position of the first condition that each row meets, or the number of conditions."""
    # The row of trues at the end is met where nothing else is.
    table = np.stack([*matches, np.ones_like(matches[0])])
    return table.argmax(axis=0).astype(np.int32)
