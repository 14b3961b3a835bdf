"""What a class for Seldon's language wrapper gives, as tensors.

What it gives has no datatype in the wrapper's JSON, and becomes the one that the node declares.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import numpy as np
import orjson
from graphc_components.datatypes import Array, bytes_array, to_numpy

from graphc_runtimes.adapters.seldon_words import Said, is_status
from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import StatedError
from graphc_runtimes.lists import round_floats
from graphc_runtimes.region import Declared
from graphc_runtimes.servers.nested import Json, read_array
from graphc_runtimes.shown import show

_MOST_NAMED: Final = 5


def from_result(data: object, declared: Mapping[str, Declared]) -> dict[str, Array]:
    """Return the outputs that a method's answer is; raises ArrayError.

    A dict has the outputs by name; where it has not, and one output is declared, it is that output's text of JSON.
    """
    named = _fields(data)
    if named and (len(declared) > 1 or declared.keys() <= named.keys()):
        return {name: _named(named, name, each) for name, each in declared.items()}
    if len(declared) > 1:
        raise ArrayError(f"has {len(declared)} outputs, and its class gave no dict of them")
    ((name, each),) = declared.items()
    return {name: _told(name, lambda: _to_tensor(data, each))}


def _named(found: Mapping[str, object], name: str, declared: Declared) -> Array:
    if name not in found:
        listed = ", ".join(show(str(each)) for each in list(found)[:_MOST_NAMED]) or "nothing"
        raise ArrayError(f"gave no output `{name}`; it gave {listed}")
    return _told(name, lambda: _to_tensor(found[name], declared, is_named=True))


def _told(name: str, make: Callable[[], Array]) -> Array:
    try:
        return make()
    except ArrayError as error:
        raise ArrayError(f"gave an output `{name}` that {error}") from None


def _to_tensor(value: object, declared: Declared, *, is_named: bool = False) -> Array:
    """Return a value as a tensor of the declared datatype; its shape is what it has."""
    match value:
        case str() | bytes() | bytearray():
            return _to_text(value, declared)
        case np.ndarray():
            return _of_array(cast("Array", value), declared)
        case list():
            return _of_array(_as_array(cast("list[object]", value)), declared)
        case Mapping():
            return _to_text(_as_json(_fields(cast("object", value))), declared)
        case bool() | int() | float() | np.generic() if is_named:
            return _of_array(np.array([value]), declared)
        case _:
            raise ArrayError(f"is {_kind_of(value)}; a class gives an array, a list, a text, bytes or a dict")


def _kind_of(value: object) -> str:
    return "nothing" if value is None else f"of the type `{type(value).__name__}`"


def _to_text(value: str | bytes | bytearray, declared: Declared) -> Array:
    if declared.datatype != "BYTES":
        raise ArrayError(f"is a text, not {declared.datatype}")
    element = value.encode() if isinstance(value, str) else bytes(value)
    return bytes_array([element], (1,) * len(declared.shape))


def _as_json(value: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        raise ArrayError("is a dict that JSON cannot hold") from None


def _as_array(value: list[object]) -> Array:
    try:
        array = cast("Array", np.array(value))
    except ValueError:
        raise ArrayError("is no array: its rows differ in length") from None
    # numpy makes texts of numbers that stand among texts.
    return cast("Array", np.array(value, np.object_)) if array.dtype.kind in "US" else array


def _of_array(array: Array, declared: Declared) -> Array:
    if not array.ndim:
        raise ArrayError("has no dimensions; a V2 tensor has at least one")
    dtype = to_numpy(declared.datatype)
    match array.dtype.kind, dtype.kind:
        case ("f", "f") | ("i" | "u", "f"):
            return round_floats(array, declared.datatype)
        case ("i" | "u", "i" | "u"):
            return _to_integers(array, declared.datatype, dtype)
        case ("f", "i" | "u"):
            if not bool((np.isfinite(array) & (np.trunc(array) == array)).all()):
                raise ArrayError("holds a number with a fraction where a whole number should be")
            return _to_integers(array, declared.datatype, dtype)
        case ("b", "b"):
            return array
        case ("O" | "U" | "S", "O"):
            return bytes_array(
                [_to_bytes(each) for each in cast("list[object]", array.ravel().tolist())], array.shape
            )
        case _:
            return read_array(cast("Json", array.tolist()), declared)


def _to_integers(array: Array, datatype: str, dtype: np.dtype[np.generic]) -> Array:
    bounds = np.iinfo(cast("np.dtype[np.integer]", dtype))
    if array.size and not (int(array.min()) >= bounds.min and int(array.max()) <= bounds.max):
        raise ArrayError(f"holds a number that is out of range for {datatype}")
    return array.astype(dtype)


def _to_bytes(element: object) -> bytes:
    if isinstance(element, str):
        return element.encode()
    if isinstance(element, bytes):
        return element
    raise ArrayError("holds a value where a text should be")


def to_branch(data: object, declared: Mapping[str, Declared]) -> dict[str, Array]:
    """Return the branch that `route` gave as the one output, of one element; raises ArrayError."""
    found = _single_number(data)
    if found is None:
        raise ArrayError(f"gave no branch: `route` returns a whole number, and it is {_kind_of(data)}")
    if found < 0:
        raise ArrayError(f"gave the branch {found}; a router of a graph takes one branch, from 0")
    ((name, each),) = declared.items()
    return {name: _told(name, lambda: _of_array(np.full((1,) * len(each.shape), found), each))}


def _single_number(data: object) -> int | None:
    """Return a whole number, which a message has in lists and may have as a float; None for anything else."""
    if isinstance(data, list | np.ndarray):
        array = np.asarray(cast("object", data))
        data = cast("object", array.item()) if array.size == 1 and array.dtype.kind in "iuf" else None
        return int(data) if isinstance(data, float | int) and data == int(data) else None
    return data if isinstance(data, int) and not isinstance(data, bool) else None


# --- Raw answers -------------------------------------------------------------------------------------


def read_raw(message: object) -> Said:
    """Return what the message of a raw method holds; raises ArrayError, and StatedError where it tells a failure."""
    if not isinstance(message, Mapping):
        raise ArrayError(f"gave a message that is {_kind_of(message)}, where a dict should be")
    fields = _fields(cast("object", message))
    _refuse_failure(_fields(fields.get("status")))
    meta = _fields(fields.get("meta"))
    return Said(_data_of(fields)).with_more(meta.get("metrics") or [], meta.get("tags"))


def _fields(value: object) -> Mapping[str, object]:
    """Return an object's fields; none of what is no object."""
    return cast("Mapping[str, object]", value if isinstance(value, Mapping) else {})


def _refuse_failure(status: Mapping[str, object]) -> None:
    code = status.get("code")
    if is_status(code):
        raise StatedError(str(status.get("info") or "its class tells a failure"), code)


def _data_of(fields: Mapping[str, object]) -> object:
    for name in ("strData", "jsonData"):
        if name in fields:
            return fields[name]
    if "binData" in fields:
        return _from_base64(fields["binData"])
    data = _fields(fields.get("data"))
    if "ndarray" in data:
        return data["ndarray"]
    if "tensor" in data:
        return _reshape(_fields(data["tensor"]))
    raise ArrayError("gave a message without `data`, `strData`, `binData` or `jsonData`")


def _from_base64(value: object) -> object:
    if not isinstance(value, str | bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ArrayError("gave `binData` that is not base64") from None


def _reshape(tensor: Mapping[str, object]) -> Array:
    values, shape = tensor.get("values"), tensor.get("shape")
    if not isinstance(values, list | np.ndarray) or not isinstance(shape, list | tuple):
        raise ArrayError("gave a `tensor` without `values` and `shape`")
    array = cast("Array", np.asarray(cast("object", values)))
    given = cast("Sequence[object]", shape)
    sizes = [size for size in given if isinstance(size, int) and size >= 0]
    if len(sizes) != len(given) or math.prod(sizes) != array.size:
        raise ArrayError("gave a `tensor` whose `shape` is not that of its `values`")
    return array.reshape(sizes)
