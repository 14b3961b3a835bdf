"""Arrays as lists within lists, which most frameworks' JSON has in the place of a flat list and a shape."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

import numpy as np
import orjson
from graphc_components.datatypes import Array, bytes_array, bytes_of, to_numpy
from graphc_components.tensors import Dim

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.bodies import dump_numbers
from graphc_runtimes.lists import convert, flatten
from graphc_runtimes.region import Declared
from graphc_runtimes.servers.dialect import AnswerError
from graphc_runtimes.shapes import MOST_DIMS
from graphc_runtimes.shown import show

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

B64: Final = "b64"
"""The key of an object that holds bytes, in TensorFlow Serving's JSON."""


def load_object(body: bytes) -> dict[str, Json]:
    """Return the JSON object that a body is; raises AnswerError."""
    found = load(body)
    if not isinstance(found, dict):
        raise AnswerError("answered with JSON that is no object")
    return found


def load(body: bytes) -> Json:
    """Return the JSON that a body is; raises AnswerError."""
    try:
        return cast("Json", orjson.loads(body))
    except orjson.JSONDecodeError:
        pass
    try:
        # Servers in Python and TensorFlow Serving write NaN and Infinity, which JSON has no words for.
        return cast("Json", json.loads(body))
    except (ValueError, RecursionError):
        raise AnswerError("answered with something that is not JSON") from None


def write_array(array: Array) -> orjson.Fragment | object:
    """Return an array as JSON has it: numbers, texts, or base64 where bytes are no text; raises ArrayError."""
    if array.dtype.kind not in "biuf":
        return _nest([_write_bytes(each) for each in bytes_of(array)], array.shape)
    if array.ndim == 1:
        return orjson.Fragment(dump_numbers(array))
    if array.dtype.kind == "f" and not bool(np.isfinite(array).all()):
        raise ArrayError("holds NaN or Infinity, which JSON cannot carry")
    wide = np.ascontiguousarray(array, np.float64) if array.dtype.kind == "f" else np.ascontiguousarray(array)
    return orjson.Fragment(orjson.dumps(wide, option=orjson.OPT_SERIALIZE_NUMPY))


def _write_bytes(element: bytes) -> object:
    try:
        return element.decode()
    except UnicodeDecodeError:
        return {B64: base64.b64encode(element).decode()}


def _nest(flat: Sequence[object], shape: Sequence[int]) -> object:
    """Return a flat list as lists within lists."""
    if len(shape) <= 1:
        return list(flat)
    step = len(flat) // shape[0] if shape[0] else 0
    return [_nest(flat[index * step : (index + 1) * step], shape[1:]) for index in range(shape[0])]


def write_inputs(inputs: Mapping[str, Array]) -> dict[str, object]:
    """Return arrays as JSON has them, by name; raises ArrayError."""
    written: dict[str, object] = {}
    for name, array in inputs.items():
        try:
            written[name] = write_array(array)
        except ArrayError as error:
            raise ArrayError(f"cannot ask its server: input {show(name)} {error}") from None
    return written


def read_outputs(found: Mapping[str, Json], outputs: Mapping[str, Declared]) -> dict[str, Array]:
    """Return the declared outputs out of an object that has them by name; raises AnswerError."""
    return {name: _read_output(found, name, declared) for name, declared in outputs.items()}


def _read_output(found: Mapping[str, Json], name: str, declared: Declared) -> Array:
    if name not in found:
        listed = ", ".join(show(each) for each in list(found)[:5]) or "none"
        raise AnswerError(f"gave no output {show(name)}; it gave {listed}")
    try:
        return read_array(found[name], declared)
    except ArrayError as error:
        raise AnswerError(f"gave an output {show(name)} that {error}") from None


def read_array(value: Json, declared: Declared) -> Array:
    """Return the array of a declared datatype that lists within lists are; raises ArrayError.

    A single value is a tensor of one element where the node declares one dimension.
    """
    if value is None:
        raise ArrayError("is a null")
    value = value if isinstance(value, list) else [value]
    shape = _shape_of(value, declared.shape)
    flat = flatten(_only(value, len(shape)))
    if declared.datatype == "BYTES":
        return bytes_array([_read_bytes(each) for each in flat], shape)
    if not flat:
        return np.empty(shape, to_numpy(declared.datatype))
    return convert(flat, declared.datatype).reshape(shape)


def _shape_of(value: list[Json], declared: Sequence[Dim]) -> list[int]:
    """Return the lengths of lists within lists, by the first of each; sizes below an empty one are as declared."""
    shape: list[int] = []
    inner: Json = value
    while isinstance(inner, list) and len(shape) < MOST_DIMS:
        shape.append(len(inner))
        if not inner:
            rest = declared[len(shape) :]
            return shape + [dim if isinstance(dim, int) else 0 for dim in rest]
        inner = inner[0]
    return shape


def _only(value: list[Json], depth: int) -> list[object]:
    if depth > MOST_DIMS - 1:
        raise ArrayError(f"has more than {MOST_DIMS - 1} lists within lists")
    return cast("list[object]", value)


def _read_bytes(value: object) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            # JSON may escape a character as two halves, of which a server may give one.
            raise ArrayError("holds half of a character") from None
    held = cast("Mapping[str, object]", value).get(B64) if isinstance(value, Mapping) else None
    if isinstance(held, str):
        try:
            return base64.b64decode(held, validate=True)
        except (binascii.Error, ValueError):
            raise ArrayError("holds text that is not base64") from None
    raise ArrayError("holds a value where a text should be")
