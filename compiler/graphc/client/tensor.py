"""A named tensor, and how values become one of the wanted datatype and shape."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from graphc_components.tensors import TensorType
from numpy.typing import NDArray

from graphc.client.failure import InferError
from graphc.engine.raw import DTYPES

Array = NDArray[np.generic]
Leaf = bool | int | float | str | bytes | None

MAX_RANK: Final = 32
"""More dimensions than this no tensor has; numpy takes 64."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as it is sent or was received; BYTES are objects of type `bytes`."""

    name: str
    datatype: str
    array: Array

    @property
    def shape(self) -> list[int]:
        """The sizes of the dimensions."""
        return list(self.array.shape)


def make_array(leaves: Sequence[Leaf], shape: Sequence[int], name: str) -> Array:
    """Return plain values as an array: of numbers, of booleans, or of bytes; raises InferError."""
    if any(isinstance(each, str | bytes) for each in leaves):
        return make_texts(leaves, shape, name)
    if any(each is None for each in leaves) and all(isinstance(each, int | float | None) for each in leaves):
        leaves = [float("nan") if each is None else each for each in leaves]
    try:
        array = cast("Array", np.array(leaves or np.zeros(0)))
    except OverflowError as error:
        raise InferError(f"input `{name}` has a number that no datatype can hold") from error
    if array.dtype.kind not in "biuf":
        raise InferError(f"input `{name}` has a number that no datatype can hold")
    return array.reshape(shape)


def make_texts(leaves: Sequence[Leaf], shape: Sequence[int], name: str) -> Array:
    """Return texts and bytes as an array of bytes, in UTF-8; raises InferError."""
    array = np.empty(len(leaves), dtype=object)
    for index, each in enumerate(leaves):
        if not isinstance(each, str | bytes):
            raise InferError(f"input `{name}` mixes texts with other values")
        array[index] = each.encode() if isinstance(each, str) else each
    return cast("Array", array.reshape(shape))


def reshape_to(array: Array, sizes: Sequence[object]) -> Array | None:
    """Return an array in a shape that somebody gave; None where its values do not make that shape."""
    dims = [each for each in sizes[: MAX_RANK + 1] if type(each) is int and 0 <= each < 2**63]
    if len(dims) != len(sizes) or len(dims) > MAX_RANK or math.prod(dims) != array.size:
        return None
    try:
        return array.reshape(dims)
    except ValueError:
        # Without elements, too, numpy refuses sizes whose product it cannot count.
        return None


def fit_tensor(name: str, array: Array, wanted: TensorType | None) -> Tensor:
    """Return the tensor in the datatype and shape that the model wants; raises InferError."""
    if wanted is None:
        return Tensor(name, _own_datatype(name, array), array)
    return Tensor(name, wanted.datatype, fit_shape(name, _cast(name, array, wanted.datatype), wanted))


def fit_shape(name: str, array: Array, wanted: TensorType) -> Array:
    """Return the array in the wanted rank, adding the batch or dropping a single column; raises InferError."""
    given = list(array.shape)
    if array.ndim == wanted.rank - 1 and wanted.shape[0] in {None, 1}:
        array = array[np.newaxis]
    elif array.ndim == wanted.rank + 1 and array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    sizes = zip(array.shape, wanted.shape, strict=False)
    if array.ndim != wanted.rank or any(isinstance(dim, int) and dim != size for size, dim in sizes):
        raise InferError(f"input `{name}` is {wanted}, and what is given has shape {given}")
    return array


def _own_datatype(name: str, array: Array) -> str:
    if array.dtype.kind == "O":
        return "BYTES"
    found = next((each for each, dtype in DTYPES.items() if np.dtype(dtype) == array.dtype), None)
    if found is None:
        raise InferError(f"input `{name}` has numpy's type {array.dtype}, which V2 has no datatype for")
    return found


def _cast(name: str, array: Array, datatype: str) -> Array:
    if not array.size and datatype in {"BYTES", *DTYPES}:
        # Without elements there is nothing that could be of another kind.
        return array.astype(object if datatype == "BYTES" else DTYPES[datatype])
    if (datatype == "BYTES") != (array.dtype.kind == "O"):
        given = "texts" if array.dtype.kind == "O" else "numbers"
        raise InferError(f"input `{name}` has datatype {datatype}, and {given} are given")
    if datatype == "BYTES":
        return array
    if datatype not in DTYPES:
        raise InferError(f"input `{name}` has datatype `{datatype}`, which cannot be sent from here")
    wanted = np.dtype(DTYPES[datatype])
    with np.errstate(over="ignore", invalid="ignore"):
        made = array.astype(wanted)
    if not _is_faithful(array, made):
        raise InferError(f"input `{name}` has values that are no {datatype}")
    return made


def _is_faithful(array: Array, made: Array) -> bool:
    if made.dtype.kind == "f":
        # Rounding is what a float is for; a number that becomes infinite is not.
        return array.dtype.kind != "f" or bool((np.isfinite(made) == np.isfinite(array)).all())
    return bool((made == array).all())
