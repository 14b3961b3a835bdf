"""Makes a pandas data frame of tensors, one a column: the one module that talks to pandas."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from graphc_components.datatypes import Array, bytes_of

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import LoadError

MISSING: Final = float("nan")
"""What pandas reads an empty cell of a CSV file as, in numbers and texts alike."""


class FrameReader:
    """Reads tensors as columns in the order in which an estimator was fitted on them."""

    def __init__(self, inputs: Mapping[str, object], columns: Sequence[str]) -> None:
        """Take the names that a node feeds, and those that the estimator knows; raises LoadError."""
        if not columns:
            raise LoadError("the estimator was fitted on an array: it takes one input, `X`")
        if unknown := [name for name in inputs if name not in columns]:
            raise LoadError(f"the estimator was fitted on no column `{unknown[0]}`")
        self._columns = [name for name in columns if name in inputs]

    def count(self, inputs: Mapping[str, Array]) -> int:
        """Return how many rows there are; raises ArrayError where the columns disagree."""
        counts = {len(inputs[name]) for name in self._columns}
        if len(counts) != 1:
            raise ArrayError("has columns of different lengths")
        return counts.pop()

    def read(self, inputs: Mapping[str, Array]) -> pd.DataFrame:
        """Return the data frame; an empty text is a missing value, as NaN is among numbers."""
        return pd.DataFrame({name: _column(name, inputs[name]) for name in self._columns})

    def blank(self, inputs: Mapping[str, Array]) -> pd.DataFrame:
        """Return one row of zeros and missing texts, of the columns' own kinds."""
        return self.read({name: _blank(inputs[name]) for name in self._columns})


def _blank(array: Array) -> Array:
    return np.full((1, *array.shape[1:]), b"" if array.dtype.kind == "O" else 0, array.dtype)


def _column(name: str, array: Array) -> Array:
    if array.ndim > 1 and array.size != len(array):
        raise ArrayError(f"takes one value a row as `{name}`")
    flat = array.reshape(len(array))
    if flat.dtype.kind != "O":
        return flat
    texts = np.empty(len(flat), dtype=object)
    texts[:] = [each.decode() or MISSING for each in bytes_of(flat)]
    return texts
