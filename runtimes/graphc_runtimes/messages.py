"""Tensors as the V2 protocol writes them: plain numbers, base64 elements, or base64 of the raw bytes."""

import base64
import binascii
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast

import numpy as np
from graphc_components.datatypes import Array, bytes_array, bytes_of, to_numpy
from graphc_components.tensors import DATATYPES

from graphc_runtimes.arrays import ArrayError, datatype_of, raw_dtype
from graphc_runtimes.errors import RequestError

Wire = Literal["plain", "base64"]

_FEW: Final = 128
"""Fewer numbers than these Python handles faster than numpy."""

_MOST_LENGTHS: Final = 64

OWN_PARAMETERS: Final = frozenset({"headers", "content_type", "binary_data_output"})
"""Parameters about one hop only, which are not carried on to the next unit."""

WANTED: Final = "graphc_outputs"
"""The parameter in which the outputs that a client asked for reach the unit that answers it."""


@dataclass(frozen=True, slots=True)
class WireTensor:
    """A tensor of a message, not yet decoded, or not yet encoded."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: Sequence[object]
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    array: Array | None = None
    """The tensor itself, in the place of `data`: it came as raw bytes, or its reader asked for arrays."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a unit got: tensors by name, and what travels beside them."""

    tensors: Mapping[str, WireTensor]
    id: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    is_for_arrays: bool = False
    """Whether the answer's tensors are to be arrays, which whoever asks encodes in a way of its own."""

    @property
    def carried(self) -> dict[str, object]:
        """The parameters that the answer carries on to the next unit."""
        return {name: value for name, value in self.parameters.items() if name not in OWN_PARAMETERS}

    @property
    def wanted(self) -> tuple[str, ...]:
        """The outputs that the client asked for; none named means all."""
        names = self.parameters.get(WANTED)
        return tuple(str(name) for name in cast("list[object]", names)) if isinstance(names, list) else ()


# --- Reading -----------------------------------------------------------------------------------------


def read_message(body: object, headers: Mapping[str, str]) -> Message:
    """Read a V2 request or response out of decoded JSON; raises RequestError."""
    if not isinstance(body, dict):
        raise RequestError("a V2 message is a JSON object")
    fields = cast("dict[str, object]", body)
    tensors = fields.get("inputs", fields.get("outputs"))
    if not isinstance(tensors, list):
        raise RequestError("a V2 message has a list of `inputs` or `outputs`")
    named: dict[str, WireTensor] = {}
    for each in cast("list[object]", tensors):
        tensor = _read_tensor(each)
        named.setdefault(tensor.name, tensor)
    identity = fields.get("id")
    parameters = want(_mapping(fields, "parameters"), _requested(fields) if "inputs" in fields else ())
    return Message(named, identity if isinstance(identity, str) else None, parameters, headers)


def want(parameters: Mapping[str, object], names: Sequence[str]) -> Mapping[str, object]:
    """Return the parameters with the outputs that a client asks for, if it names any."""
    return {**parameters, WANTED: list(names)} if names else parameters


def _requested(fields: Mapping[str, object]) -> tuple[str, ...]:
    outputs = fields.get("outputs")
    listed = cast("list[object]", outputs) if isinstance(outputs, list) else []
    return tuple(str(_mapping({"": each}, "").get("name")) for each in listed)


def read_messages(body: object, headers: Mapping[str, str]) -> Message:
    """Read the union of several V2 messages; of tensors with the same name the first counts."""
    if not isinstance(body, list) or not body:
        raise RequestError("`/aggregate` takes a JSON array of V2 messages that is not empty")
    messages = [read_message(each, headers) for each in cast("list[object]", body)]
    union: dict[str, WireTensor] = {}
    for message in reversed(messages):
        union.update(message.tensors)
    return Message(union, messages[0].id, messages[0].parameters, headers)


def _read_tensor(body: object) -> WireTensor:
    if not isinstance(body, dict):
        raise RequestError("a tensor of a V2 message is a JSON object")
    fields = cast("dict[str, object]", body)
    name, datatype, shape, data = (fields.get(key) for key in ("name", "datatype", "shape", "data"))
    if not isinstance(name, str):
        raise RequestError("a tensor of the message has no `name`")
    if not isinstance(datatype, str) or not _is_shape(shape) or not isinstance(data, list):
        raise RequestError(f"tensor `{name}` lacks a proper `datatype`, `shape` or `data`")
    listed = cast("list[object]", data)
    return WireTensor(name, datatype, cast("list[int]", shape), listed, _mapping(fields, "parameters"))


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and all(type(size) is int for size in cast("list[object]", value))


def _mapping(fields: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = fields.get(key)
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


# --- Decoding ----------------------------------------------------------------------------------------


def decode(tensor: WireTensor) -> Array:
    """Return the array that a tensor of a message is; raises ArrayError."""
    if tensor.datatype not in DATATYPES:
        raise ArrayError(f"has the datatype `{tensor.datatype}`, which the V2 protocol lacks")
    if tensor.shape and min(tensor.shape) < 0:
        raise ArrayError(f"has a negative size in its shape {list(tensor.shape)}")
    if tensor.array is not None:
        return tensor.array
    if tensor.parameters.get("encoding") == "base64":
        return _decode_raw(tensor)
    if tensor.datatype == "BYTES":
        elements = list(_decode_elements(tensor))
        _check_count(len(elements), tensor)
        return bytes_array(elements, tensor.shape)
    return _decode_numbers(tensor)


def _check_count(count: int, tensor: WireTensor) -> None:
    if count != math.prod(tensor.shape):
        raise ArrayError(f"has {count} elements, which is not the shape {list(tensor.shape)}")


# What is packed as one of these is neither rounded nor cut: whole numbers are checked, and floats are looked at.
_CODES: Final = {
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP32": "f",
    "FP64": "d",
}
EXACT: Final = 2**53
"""Up to here a float64 holds every whole number, so that going through it rounds no more than once."""


class FlatDecoder:
    """Makes arrays of a datatype out of flat lists of numbers."""

    def __init__(self, datatype: str) -> None:
        self._code = _CODES.get(datatype)
        self._dtype = to_numpy(datatype)
        self._packs: dict[int, Callable[..., bytes]] = {}

    def __call__(self, data: Sequence[object]) -> Array | None:
        """Return a flat list as an array; None where anything about it is out of the ordinary."""
        code, pack = self._code, self._packs.get(len(data))
        if code is None or not data or isinstance(data[0], bool):
            return None
        try:
            flat = np.frombuffer((pack or self._prepare(len(data)))(*data), self._dtype)
        except (struct.error, OverflowError):
            return None
        return None if code == "f" and not _is_within(flat, cast("Sequence[float]", data)) else flat

    def _prepare(self, count: int) -> Callable[..., bytes]:
        """Return what packs so many numbers, which is kept for the next list of that length."""
        if len(self._packs) >= _MOST_LENGTHS:
            self._packs.clear()
        pack = self._packs[count] = struct.Struct(f"{count}{self._code}").pack
        return pack


_DECODERS: Final = {datatype: FlatDecoder(datatype) for datatype in DATATYPES}


def _is_within(flat: Array, data: Sequence[float]) -> bool:
    least, most = (min(data), max(data)) if len(data) < _FEW else (flat.min(), flat.max())
    return bool(least >= -EXACT and most <= EXACT)


def _decode_numbers(tensor: WireTensor) -> Array:
    if (flat := _DECODERS[tensor.datatype](tensor.data)) is not None:
        _check_count(flat.size, tensor)
        return flat.reshape(tensor.shape)
    try:
        found = cast("Array", np.array(tensor.data))
    except ValueError:
        raise ArrayError("has rows that differ in length") from None
    _check_count(found.size, tensor)
    if not found.size:
        return np.empty(tensor.shape, to_numpy(tensor.datatype))
    kind = to_numpy(tensor.datatype).kind
    if kind == "b":
        converted = _to_booleans(found)
    elif kind == "f":
        converted = _to_floats(found, tensor)
    else:
        converted = _to_integers(found, tensor)
    return converted.reshape(tensor.shape)


def _to_booleans(found: Array) -> Array:
    if found.dtype.kind == "b" or (found.dtype.kind in "iu" and bool(np.isin(found, (0, 1)).all())):
        return found.astype(np.bool_)
    raise ArrayError("holds a value that is not a BOOL")


def _to_floats(found: Array, tensor: WireTensor) -> Array:
    if found.dtype.kind == "O":
        found = _exact(tensor, float)
    if found.dtype.kind not in "iuf":
        raise ArrayError(f"holds a value that is not a number, as {tensor.datatype} should be")
    with np.errstate(over="ignore"):
        converted = found.astype(to_numpy(tensor.datatype))
    if bool((np.isinf(converted) & ~np.isinf(found)).any()):
        raise ArrayError(f"holds a number that is out of range for {tensor.datatype}")
    return converted


def _to_integers(found: Array, tensor: WireTensor) -> Array:
    dtype = to_numpy(tensor.datatype)
    # numpy reads a mix of int64 and uint64, and whole numbers that the executor wrote as `1e+21`, as floats.
    if found.dtype.kind in "fO":
        return _exact(tensor, int)
    if found.dtype.kind not in "iu":
        raise ArrayError(f"holds a value that is not a number, as {tensor.datatype} should be")
    bounds = np.iinfo(cast("np.dtype[np.integer]", dtype))
    if int(found.min()) < bounds.min or int(found.max()) > bounds.max:
        raise ArrayError(f"holds a number that is out of range for {tensor.datatype}")
    return found.astype(dtype)


def _exact(tensor: WireTensor, kind: type[int] | type[float]) -> Array:
    try:
        values = [_number(value, kind) for value in _flatten(tensor.data)]
        return np.array(values, dtype=to_numpy(tensor.datatype) if kind is int else np.float64)
    except OverflowError:
        raise ArrayError(f"holds a number that is out of range for {tensor.datatype}") from None


def _number(value: object, kind: type[int] | type[float]) -> int | float:
    # JSON has no NaN: a null among floats is a missing value, as MLServer's own codecs have it.
    if value is None and kind is float:
        return math.nan
    if not isinstance(value, int | float):
        raise ArrayError("holds a null or another value that is not a number")
    if kind is float:
        return float(value)
    if isinstance(value, float) and not value.is_integer():
        raise ArrayError(f"holds {value}, which is not an integer")
    return int(value)


def _flatten(data: Sequence[object]) -> Iterator[object]:
    for value in data:
        if isinstance(value, list):
            yield from _flatten(cast("list[object]", value))
        else:
            yield value


def _decode_elements(tensor: WireTensor) -> Iterator[bytes]:
    is_base64 = tensor.parameters.get("content_type") == "base64"
    for value in _flatten(tensor.data):
        if not isinstance(value, str | bytes):
            raise ArrayError(f"holds a {type(value).__name__} where text should be")
        if is_base64:
            yield _from_base64(value)
        else:
            yield value.encode() if isinstance(value, str) else value


def _from_base64(text: str | bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ArrayError("holds text that is not base64") from None


def _decode_raw(tensor: WireTensor) -> Array:
    if len(tensor.data) != 1 or not isinstance(text := tensor.data[0], str | bytes):
        raise ArrayError("is said to be base64, and is not one string")
    return from_raw(_from_base64(text), tensor.datatype, tensor.shape)


def from_raw(raw: bytes | memoryview, datatype: str, shape: Sequence[int]) -> Array:
    """Return the array whose little-endian bytes these are, without a copy where it can; raises ArrayError."""
    if datatype == "BYTES":
        elements = list(_split(bytes(raw)))
        if len(elements) != math.prod(shape):
            raise ArrayError(f"has {len(elements)} elements, which is not the shape {list(shape)}")
        return bytes_array(elements, shape)
    dtype = raw_dtype(datatype)
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise ArrayError(f"has {len(raw)} bytes, which is not {datatype} {list(shape)}")
    if dtype.kind == "b":
        return cast("Array", (np.frombuffer(raw, np.uint8) != 0).reshape(shape))
    found = np.frombuffer(raw, dtype)
    # Frameworks read memory in whole numbers' steps, and a tensor may begin anywhere in a body.
    return (found if found.flags.aligned else found.copy()).reshape(shape)


def _split(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise ArrayError("ends within the length of an element")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + length > len(raw):
            raise ArrayError("ends within an element")
        yield raw[at : at + length]
        at += length


# --- Encoding ----------------------------------------------------------------------------------------


def encode(name: str, array: Array, wire: Wire, *, finite: bool = True) -> WireTensor:
    """Write an array as a tensor of a message; raises ArrayError for NaN and Infinity in plain numbers.

    `finite` False lets them through, for a message that never becomes JSON.
    """
    datatype = datatype_of(array)
    shape = list(array.shape)
    if wire == "base64":
        return WireTensor(name, datatype, shape, [_to_text(array, datatype)], {"encoding": "base64"})
    if datatype == "BYTES":
        return _encode_elements(name, array)
    return WireTensor(name, datatype, shape, _to_numbers(array, finite=finite))


def _to_numbers(array: Array, *, finite: bool) -> list[object]:
    # JSON has no NaN: encoders write null for it, which a client would take for a missing value.
    if finite and array.dtype.kind == "f" and not bool(np.isfinite(array).all()):
        raise ArrayError("holds NaN or Infinity, which JSON cannot carry")
    return cast("list[object]", array.ravel().tolist())


def _to_text(array: Array, datatype: str) -> str:
    return base64.b64encode(to_raw(array, datatype)).decode()


def to_raw(array: Array, datatype: str) -> bytes:
    """Return the little-endian bytes of an array."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(element)) + element for element in bytes_of(array))
    return array.astype(raw_dtype(datatype), copy=False).tobytes()


def _encode_elements(name: str, array: Array) -> WireTensor:
    elements = bytes_of(array)
    try:
        return WireTensor(name, "BYTES", list(array.shape), [element.decode() for element in elements])
    except UnicodeDecodeError:
        encoded = [base64.b64encode(element).decode() for element in elements]
        return WireTensor(name, "BYTES", list(array.shape), encoded, {"content_type": "base64"})


def write_tensor(tensor: WireTensor) -> dict[str, object]:
    """Return the JSON object of a tensor."""
    body: dict[str, object] = {
        "name": tensor.name,
        "shape": tensor.shape,
        "datatype": tensor.datatype,
        "data": tensor.data,
    }
    return body | ({"parameters": tensor.parameters} if tensor.parameters else {})
