"""Arrays and the V2 datatypes they are: what every other module may assume of a tensor."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import cast

import numpy as np
from graphc_components.datatypes import Array, bytes_array, to_datatype, to_numpy
from graphc_components.tensors import Dim


class ArrayError(ValueError):
    """A value is not a tensor, or not the tensor it should be; the message says why."""


def datatype_of(array: Array) -> str:
    """Return the V2 datatype of an array; raises ArrayError where there is none."""
    try:
        return to_datatype(array.dtype)
    except ValueError:
        raise ArrayError(f"has the numpy type `{array.dtype}`, which the V2 protocol lacks") from None


def raw_dtype(datatype: str) -> np.dtype[np.generic]:
    """Return the little-endian numpy type that a datatype has in raw bytes."""
    return to_numpy(datatype).newbyteorder("<")


def as_tensor(value: object) -> Array:
    """Return what a node gave as a tensor; text becomes UTF-8 bytes. Raises ArrayError."""
    array = _to_array(value)
    if array.ndim == 0:
        raise ArrayError("has no dimensions; a V2 tensor has at least one")
    if array.dtype.kind in "OUST":
        return bytes_array((_as_bytes(each) for each in array.ravel().tolist()), array.shape)
    datatype_of(array)
    return array


def _to_array(value: object) -> Array:
    try:
        array = cast("Array", np.asarray(value))
    except ValueError:
        raise ArrayError("is not an array: its rows differ in length") from None
    if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
        # As texts of a fixed length they would lose their trailing zero bytes.
        return cast("Array", np.asarray(value, dtype=np.object_))
    return array


def _as_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    what = "a null" if value is None else "a value"
    raise ArrayError(f"holds {what} where text or bytes should be")


def check_type(
    array: Array, datatype: str, shape: Sequence[Dim], sizes: MutableMapping[str, int] | None = None
) -> None:
    """Check an array against a type; `sizes` holds the named dimensions met so far. Raises ArrayError."""
    if (actual := datatype_of(array)) != datatype:
        raise ArrayError(f"is {actual}, not {datatype}")
    if not _fits(array.shape, shape, {} if sizes is None else sizes):
        raise ArrayError(f"has shape {list(array.shape)}, not {_show(shape, sizes or {})}")


def _fits(actual: Sequence[int], expected: Sequence[Dim], sizes: MutableMapping[str, int]) -> bool:
    if len(actual) != len(expected):
        return False
    for size, dim in zip(actual, expected, strict=True):
        wanted = sizes.setdefault(dim, size) if isinstance(dim, str) else dim
        if wanted is not None and wanted != size:
            return False
    return True


def _show(shape: Sequence[Dim], sizes: Mapping[str, int]) -> str:
    def one(dim: Dim) -> str:
        if isinstance(dim, str) and dim in sizes:
            return f"{dim}={sizes[dim]}"
        return "?" if dim is None else str(dim)

    return f"[{', '.join(one(dim) for dim in shape)}]"
