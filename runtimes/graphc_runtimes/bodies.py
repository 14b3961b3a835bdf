"""V2 requests and answers as the bytes of an HTTP body: JSON, and JSON with raw tensors behind it.

A request is read only where nothing about it is out of the ordinary. MLServer, which validates every field, is left to
say what is wrong with any other, in its own words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import numpy as np
import orjson
from graphc_components.datatypes import Array
from graphc_components.tensors import DATATYPES

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import RequestError, RunError
from graphc_runtimes.messages import Message, WireTensor, encode, from_raw, to_raw, want, write_tensor
from graphc_runtimes.packed import LEAST, read_packed

Body = bytes | memoryview
Fields = dict[str, object]

LENGTH_HEADER: Final = "inference-header-content-length"
"""The header that says how many bytes of a body are JSON; the tensors' raw bytes follow."""

_SIZE: Final = "binary_data_size"
_FEW: Final = 128
"""Fewer elements than these are written faster by way of a list."""
_REQUEST_KEYS: Final = frozenset({"id", "parameters", "inputs", "outputs"})
_TENSOR_KEYS: Final = frozenset({"name", "shape", "datatype", "parameters", "data"})
_OUTPUT_KEYS: Final = frozenset({"name", "parameters"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A message, and which of its outputs the client wants as raw bytes."""

    message: Message
    binary: bool = False
    binary_by_name: Mapping[str, bool] | None = None

    def wants_raw(self, name: str) -> bool:
        """Say whether an output is to be raw bytes."""
        return (self.binary_by_name or {}).get(name, self.binary)


@dataclass(frozen=True, slots=True)
class Written:
    """The body of an answer; `json_length` says where its JSON ends, if raw tensors follow."""

    parts: Sequence[Body]
    json_length: int | None = None


class _UnusualError(Exception):
    """The request is not one that is read here."""


# --- Reading -----------------------------------------------------------------------------------------


def read_infer(body: Body, headers: Mapping[str, str], json_length: int | None = None) -> Asked | None:
    """Read the body of a V2 request, None where MLServer is to look at it; raises RequestError.

    What lies behind the JSON is not copied: the arrays are views of the body.
    """
    is_mixed = json_length is not None and json_length != len(body)
    if not is_mixed and len(body) >= LEAST and (found := _read_packed(body, headers)) is not None:
        return found
    text = memoryview(body)[:json_length] if is_mixed else body
    try:
        fields = _fields(orjson.loads(text), _REQUEST_KEYS)
        inputs = [_fields(each, _TENSOR_KEYS) for each in _list(fields.get("inputs"))]
        raws = _part(memoryview(body)[json_length:], inputs) if is_mixed else {}
        return _read(
            fields, [_read_tensor(each, raws.get(place)) for place, each in enumerate(inputs)], headers
        )
    except (orjson.JSONDecodeError, _UnusualError):
        if is_mixed:
            raise RequestError("the JSON before the raw tensors is not a V2 request") from None
        return None


def _read_packed(body: Body, headers: Mapping[str, str]) -> Asked | None:
    """Read a large request, None where it is to be read as any other."""
    packed = read_packed(body)
    if packed is None:
        return None
    try:
        fields = _fields(packed.fields, _REQUEST_KEYS)
        inputs = [_fields(each, _TENSOR_KEYS) for each in _list(fields.get("inputs"))]
        pairs = zip(inputs, packed.arrays, strict=True)
        tensors = [_shape(_read_tensor({**each, "data": []}, None), array) for each, array in pairs]
        return _read(fields, tensors, headers)
    except (_UnusualError, ValueError):
        return None


def _shape(tensor: WireTensor, flat: Array) -> WireTensor:
    return replace(tensor, array=flat.reshape(tensor.shape))


def _read(fields: Fields, tensors: Sequence[WireTensor], headers: Mapping[str, str]) -> Asked:
    identity = fields.get("id")
    if not (identity is None or isinstance(identity, str)):
        raise _UnusualError
    parameters = _parameters(fields)
    named: dict[str, WireTensor] = {}
    for tensor in tensors:
        named.setdefault(tensor.name, tensor)
    outputs = fields.get("outputs")
    binary, wanted, by_name = (
        bool(parameters.get("binary_data_output", False)),
        list[str](),
        dict[str, bool](),
    )
    for each in () if outputs is None else _list(outputs):
        output = _fields(each, _OUTPUT_KEYS)
        wanted.append(_text(output.get("name")))
        asked = _parameters(output).get("binary_data")
        if isinstance(asked, bool):
            by_name[wanted[-1]] = asked
    message = Message(named, identity, want(parameters, wanted), headers, is_for_arrays=True)
    return Asked(message, binary, by_name)


def _read_tensor(fields: Fields, raw: memoryview | None) -> WireTensor:
    name, datatype, shape = _text(fields.get("name")), fields.get("datatype"), _list(fields.get("shape"))
    if datatype not in DATATYPES or not all(type(size) is int for size in shape):
        raise _UnusualError
    sizes, parameters = cast("list[int]", shape), _parameters(fields)
    if raw is None:
        return WireTensor(name, cast("str", datatype), sizes, _list(fields.get("data")), parameters)
    return read_raw(name, cast("str", datatype), sizes, raw, parameters)


def read_raw(
    name: str, datatype: str, shape: Sequence[int], raw: memoryview, parameters: Fields
) -> WireTensor:
    """Return a tensor out of its little-endian bytes; raises RequestError."""
    try:
        array = from_raw(raw, datatype, shape)
    except (ArrayError, ValueError) as error:
        raise RequestError(f"tensor `{name}` {error}") from None
    return WireTensor(name, datatype, shape, (), parameters, array)


def _part(raw: memoryview, inputs: Sequence[Fields]) -> dict[int, memoryview]:
    """Return the raw bytes of each tensor that says how many it has, by its place."""
    found: dict[int, memoryview] = {}
    start = 0
    for place, fields in enumerate(inputs):
        size = _parameters(fields).get(_SIZE)
        if size is None:
            continue
        if type(size) is not int or size < 0 or start + size > len(raw):
            raise RequestError(f"tensor `{fields.get('name')}` says a `{_SIZE}` that the body does not have")
        found[place] = raw[start : start + size]
        start += size
    if start != len(raw):
        raise RequestError(f"{len(raw) - start} bytes of the body belong to no tensor")
    return found


def _fields(value: object, known: frozenset[str]) -> Fields:
    if type(value) is not dict:
        raise _UnusualError
    fields = cast("Fields", value)
    if not fields.keys() <= known:
        raise _UnusualError
    return fields


def _list(value: object) -> list[object]:
    if type(value) is not list:
        raise _UnusualError
    return cast("list[object]", value)


def _text(value: object) -> str:
    if type(value) is not str:
        raise _UnusualError
    return value


def _parameters(fields: Fields) -> Fields:
    value = fields.get("parameters")
    if value is None:
        return {}
    if type(value) is not dict or "headers" in value:
        raise _UnusualError
    parameters = cast("Fields", value)
    if not isinstance(parameters.get("content_type", ""), str):
        raise _UnusualError
    return parameters


# --- Writing -----------------------------------------------------------------------------------------


def write_infer(fields: Fields, tensors: Sequence[WireTensor], asked: Asked | None, unit: str) -> Written:
    """Write an answer: `fields` with the tensors as `outputs`; raises RunError."""
    raws: list[bytes] = []
    outputs: list[Fields] = []
    for tensor in tensors:
        if asked is not None and tensor.array is not None and asked.wants_raw(tensor.name):
            raws.append(to_raw(tensor.array, tensor.datatype))
            outputs.append({**_describe(tensor), "parameters": {_SIZE: len(raws[-1])}})
        else:
            outputs.append(_write_tensor(tensor, unit))
    text = orjson.dumps(fields | {"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Written([text, *raws], len(text)) if raws else Written([text])


def _describe(tensor: WireTensor) -> Fields:
    return {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.datatype}


def _write_tensor(tensor: WireTensor, unit: str) -> Fields:
    array = tensor.array
    if array is None:
        return write_tensor(tensor)
    try:
        if array.dtype.kind not in "biuf":
            return write_tensor(encode(tensor.name, array, "plain"))
        return {
            "name": tensor.name,
            "shape": array.shape,
            "datatype": tensor.datatype,
            "data": orjson.Fragment(dump_numbers(array)),
        }
    except ArrayError as error:
        raise RunError(f"unit `{unit}`: tensor `{tensor.name}` {error}") from None


def dump_tensor(tensor: WireTensor, unit: str) -> bytes:
    """Return a tensor of an answer as JSON; raises RunError."""
    return orjson.dumps(_write_tensor(tensor, unit))


def dump_numbers(array: Array) -> bytes:
    """Return the numbers of an array as JSON; raises ArrayError for NaN and Infinity."""
    # A client would take null for a missing value.
    if (text := _dump(array.ravel())) is None:
        raise ArrayError("holds NaN or Infinity, which JSON cannot carry")
    return text


def dump_rows(array: Array, count: int) -> list[bytes] | None:
    """Return the numbers of so many parts of an array of numbers, each as JSON within its brackets.

    None where one of them is NaN or Infinity.
    """
    text = _dump(array.reshape(count, -1))
    return None if text is None else text[2:-2].split(b"],[")


def _dump(array: Array) -> bytes | None:
    """Return an array as JSON, with every digit of a float64, as it always was; None where JSON has no number."""
    is_float = array.dtype.kind == "f"
    if array.size < _FEW:
        text = orjson.dumps(array.tolist())
    else:
        numbers = np.ascontiguousarray(array, np.float64 if is_float else None)
        text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
    # What it has no number for is written as null.
    return None if is_float and b"n" in text else text
