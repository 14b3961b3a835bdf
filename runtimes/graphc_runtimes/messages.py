"""Tensors as the V2 protocol writes them: plain numbers, base64 elements, or base64 of the raw bytes."""

import base64
import binascii
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast

import numpy as np
from graphc_components.datatypes import Array, bytes_array, bytes_of, to_numpy
from graphc_components.tensors import DATATYPES

from graphc_runtimes.arrays import ArrayError, datatype_of, raw_dtype
from graphc_runtimes.lists import convert, flatten
from graphc_runtimes.numerals import load_json, read_numbers
from graphc_runtimes.shapes import count_elements, disagree
from graphc_runtimes.shown import describe_kind, show, show_shape

Wire = Literal["plain", "base64"]

_LENGTH: Final = struct.Struct("<I")
_ONE_TEXT: Final = re.compile(rb'\[[ \t\r\n]*"([A-Za-z0-9+/=]*)"[ \t\r\n]*\]')

OWN_PARAMETERS: Final = frozenset({"headers", "content_type", "binary_data_output"})
"""Parameters about one hop only, which are not carried on to the next unit."""

WANTED: Final = "graphc_outputs"
"""The parameter in which the outputs that a client asked for reach the unit that answers it."""


FALLBACKS: Final = "graphc_fallbacks"
"""The parameter of an answer that names the nodes that failed and whose policy stood in."""


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
    text: bytes | memoryview | None = None
    """The JSON of a list, in the place of `data`, not read yet."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a unit got: tensors by name, and what travels beside them."""

    tensors: Mapping[str, WireTensor]
    id: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    is_for_arrays: bool = False
    """Whether the answer's tensors are to be arrays, which whoever asks encodes in a way of its own."""
    is_call: bool = False
    """Whether it came over gRPC."""
    fallbacks: list[str] = field(default_factory=list[str])
    """The nodes that failed and whose policy stood in, once the unit has answered."""
    tags: dict[str, object] = field(default_factory=dict[str, object])
    """What nodes said beside their tensors, by `node.tag`, once the unit has answered."""

    @property
    def carried(self) -> dict[str, object]:
        """The parameters that the answer carries on to the next unit."""
        return {name: value for name, value in self.parameters.items() if name not in OWN_PARAMETERS}

    @property
    def wanted(self) -> tuple[str, ...]:
        """The outputs that the client asked for; none named means all."""
        names = self.parameters.get(WANTED)
        return tuple(str(name) for name in cast("list[object]", names)) if isinstance(names, list) else ()


def want(parameters: Mapping[str, object], names: Sequence[str]) -> Mapping[str, object]:
    """Return the parameters with the outputs that a client asks for, if it names any."""
    return {**parameters, WANTED: list(names)} if names else parameters


# --- Decoding ----------------------------------------------------------------------------------------


def decode(tensor: WireTensor) -> Array:
    """Return the array that a tensor of a message is; raises ArrayError."""
    if tensor.datatype not in DATATYPES:
        raise ArrayError(f"has the datatype {show(tensor.datatype)}, which the V2 protocol lacks")
    count = count_elements(tensor.shape)
    if tensor.array is not None:
        return tensor.array
    if tensor.parameters.get("encoding") == "base64":
        return from_raw(_read_base64(tensor), tensor.datatype, tensor.shape)
    if tensor.datatype != "BYTES" and tensor.text is not None:
        return read_numbers(tensor.text, tensor.datatype, tensor.shape)
    data = flatten(tensor.data if tensor.text is None else load_json(tensor.text))
    if len(data) != count:
        raise disagree(len(data), tensor.shape)
    if tensor.datatype == "BYTES":
        return bytes_array(_decode_elements(tensor, data), tensor.shape)
    if not count:
        return np.empty(tensor.shape, to_numpy(tensor.datatype))
    return convert(data, tensor.datatype).reshape(tensor.shape)


def _decode_elements(tensor: WireTensor, data: Sequence[object]) -> list[bytes]:
    strange = set(map(type, data)) - {str, bytes}
    if strange:
        raise ArrayError(f"holds {sorted(map(describe_kind, strange))[0]} where a text should be")
    texts = cast("Sequence[str | bytes]", data)
    if tensor.parameters.get("content_type") == "base64":
        return [_from_base64(text) for text in texts]
    return [text.encode() if isinstance(text, str) else text for text in texts]


def _from_base64(text: str | bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ArrayError("holds text that is not base64") from None


def _read_base64(tensor: WireTensor) -> bytes:
    if tensor.text is not None and (found := _ONE_TEXT.fullmatch(tensor.text)) is not None:
        return _from_base64(found[1])
    data = tensor.data if tensor.text is None else load_json(tensor.text)
    if len(data) != 1 or not isinstance(text := data[0], str | bytes):
        raise ArrayError("is said to be base64, and is not one string")
    return _from_base64(text)


def from_raw(raw: bytes | memoryview, datatype: str, shape: Sequence[int]) -> Array:
    """Return the array whose little-endian bytes these are, without a copy where it can; raises ArrayError."""
    count = count_elements(shape)
    if datatype == "BYTES":
        return bytes_array(_split(raw, shape, count), shape)
    dtype = raw_dtype(datatype)
    if len(raw) != count * dtype.itemsize:
        raise ArrayError(f"has {len(raw)} bytes, which is not {datatype} {show_shape(shape)}")
    if dtype.kind == "b":
        return cast("Array", (np.frombuffer(raw, np.uint8) != 0).reshape(shape))
    found = np.frombuffer(raw, dtype)
    # Frameworks read memory in whole numbers' steps, and a tensor may begin anywhere in a body.
    return (found if found.flags.aligned else found.copy()).reshape(shape)


def _split(raw: bytes | memoryview, shape: Sequence[int], count: int) -> list[bytes]:
    """Return the texts of a tensor; each has its length before it."""
    if len(raw) < _LENGTH.size * count:
        raise ArrayError(f"has {len(raw)} bytes, which is not BYTES {show_shape(shape)}")
    found: list[bytes] = []
    at, end = 0, len(raw)
    while at < end:
        if at + _LENGTH.size > end:
            raise ArrayError("ends within the length of an element")
        start = at + _LENGTH.size
        at = start + int(_LENGTH.unpack_from(raw, at)[0])
        if at > end:
            raise ArrayError("ends within an element")
        if len(found) == count:
            raise ArrayError(f"has more elements than its shape {show_shape(shape)} says")
        found.append(bytes(raw[start:at]))
    if len(found) != count:
        raise disagree(len(found), shape)
    return found


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
