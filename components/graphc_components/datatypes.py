"""Arrays: the numpy dtype of each V2 datatype, and what functions of arrays share."""

from collections.abc import Iterable, Sequence
from functools import lru_cache, reduce
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from graphc_components.component import ComponentError

Array = npt.NDArray[np.generic]
"""An array of any V2 datatype; BYTES is an object array of `bytes`."""
Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.number]
Booleans = npt.NDArray[np.bool_]

_NUMPY_NAMES: Final = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
_DATATYPES: Final = {np.dtype(name).name: datatype for datatype, name in _NUMPY_NAMES.items()}
_BY_DTYPE: Final = {np.dtype(name): datatype for datatype, name in _NUMPY_NAMES.items()}
_FLOAT64: Final = np.dtype(np.float64)
_BY_DATATYPE: Final = {datatype: np.dtype(name) for datatype, name in _NUMPY_NAMES.items()}


def to_numpy(datatype: str) -> np.dtype[np.generic]:
    """Return the numpy dtype of a V2 datatype; BYTES is `object`. Raises ValueError."""
    if datatype not in _NUMPY_NAMES:
        raise ValueError(f"`{datatype}` is not a datatype of the V2 protocol")
    return cast("np.dtype[np.generic]", _BY_DATATYPE[datatype])


def to_datatype(dtype: npt.DTypeLike) -> str:
    """Return the V2 datatype of a numpy dtype; objects, bytes and texts are BYTES. Raises ValueError."""
    given = cast("np.dtype[np.generic]", np.dtype(dtype))
    # A dtype's name is made anew each time it is asked for, which takes longer than many a component.
    if (known := _BY_DTYPE.get(given)) is not None:
        return known
    if given.kind in "SU":
        return "BYTES"
    if given.name not in _DATATYPES:
        raise ValueError(f"numpy's `{given.name}` has no datatype in the V2 protocol")
    return _DATATYPES[given.name]


def bytes_array(values: Iterable[bytes], shape: Sequence[int]) -> Array:
    """Return a BYTES array of a shape from its elements in C order."""
    flat = np.empty(int(np.prod(shape)), dtype=np.object_)
    # numpy would make an array of fixed-length texts, which loses trailing zero bytes.
    flat[:] = list(values)
    return flat.reshape(shape)


def bytes_of(array: Array) -> list[bytes]:
    """Return the elements of a BYTES array in C order."""
    return cast("list[bytes]", array.ravel().tolist())


def float_dtype(arrays: Sequence[Array]) -> np.dtype[np.generic]:
    """Return the widest float dtype among arrays, float64 where one of them holds integers."""
    first = arrays[0].dtype
    for array in arrays:
        if array.dtype is not first:
            break
    else:
        return first if first.kind == "f" else to_numpy("FP64")
    if any(array.dtype.kind != "f" for array in arrays):
        return to_numpy("FP64")
    return max((array.dtype for array in arrays), key=lambda dtype: dtype.itemsize)


def floats(array: Array) -> Floats:
    """Return an array as float64, in which the components compute."""
    return array.astype(_FLOAT64)


@lru_cache(64)
def count_of(count: int) -> Floats:
    """Return a number of tensors as a float64 array of no dimensions; nobody may change it."""
    return np.asarray(count, np.float64)


def is_float(array: Array) -> bool:
    """Tell whether an array is of a float datatype."""
    return array.dtype.kind == "f"


def show(value: object) -> str:
    """Return one value of an array as a message quotes it."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return f"`{text[:40]}`"


def require_one_shape(arrays: Sequence[Array]) -> None:
    """Refuse arrays that numpy would broadcast: a compiler cannot see the sizes of unknown dimensions."""
    shape = arrays[0].shape
    for array in arrays:
        if array.shape != shape:
            raise ComponentError(f"the inputs have different shapes: {shape} and {array.shape}")


def weigh(arrays: Sequence[Array], weights: Sequence[float]) -> Floats:
    """Return the average of arrays by weight, in float64."""
    require_one_shape(arrays)
    pairs = zip(arrays, weights, strict=True)
    # An input that does not count must not spread its NaN, which 0 * NaN would.
    terms = [floats(array) * weight for array, weight in pairs if weight]
    return reduce(np.add, terms) / sum(weights)


def rank(x: Numbers) -> Numbers:
    """Return numbers in which NaN is minus infinity."""
    if not is_float(x) or not np.count_nonzero(unknown := np.isnan(x)):
        return x
    return np.where(unknown, np.asarray(-np.inf, dtype=x.dtype), x)
