"""Read an unchecked V2 answer."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from graphc_components.tensors import DATATYPES, TensorType

from graphc.client.failure import InferError
from graphc.client.printing import shorten
from graphc.client.tensor import Array, Tensor, reshape_to
from graphc.engine.raw import DTYPES, RawError, flatten, split_bytes, to_bytes
from graphc.source.located import Plain

_RAW: Final = "base64"


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """A V2 answer: its text as it came, and its tensors."""

    text: str
    tensors: tuple[Tensor, ...]


def read_answer(text: str) -> InferAnswer:
    """Read the body of an answer; raises InferError where it is not V2."""
    try:
        value = cast("Plain", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InferError(f"the answer is not JSON: {shorten(text[:200])}") from error
    # A router that calls no child gives the request back as it is.
    outputs = (value.get("outputs") or value.get("inputs")) if isinstance(value, dict) else None
    if not isinstance(outputs, list):
        raise InferError("the answer is not V2: it has no list of outputs")
    return InferAnswer(text, tuple(read_tensor(each) for each in outputs))


def read_error(text: str) -> str:
    """Return a server's own words out of the body of an error."""
    try:
        value = cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return shorten(text) or "no reason given"
    for path in (("error",), ("status", "info"), ("detail",), ("message",)):
        found = value
        for key in path:
            found = cast("dict[str, object]", found).get(key) if isinstance(found, dict) else None
        if isinstance(found, str) and found:
            return shorten(found)
    return shorten(text) or "no reason given"


def read_types(value: object) -> dict[str, TensorType]:
    """Return the tensors of a model's metadata; those that say nothing usable are left out."""
    found = dict[str, TensorType]()
    for each in cast("list[object]", value) if isinstance(value, list) else []:
        fields = cast("dict[str, object]", each) if isinstance(each, dict) else {}
        name, datatype, shape = fields.get("name"), fields.get("datatype"), fields.get("shape")
        if isinstance(name, str) and datatype in DATATYPES and isinstance(shape, list):
            dims = cast("list[object]", shape)
            sizes = (dim if isinstance(dim, int) and dim >= 0 else None for dim in dims)
            found[name] = TensorType(str(datatype), tuple(sizes))
    return found


def read_tensor(value: object) -> Tensor:
    """Read one output of an answer; raises InferError."""
    return _shape_tensor(value, None)


def read_raw_tensor(value: object, data: bytes) -> Tensor:
    """Read one output whose data stand behind the answer's JSON; raises InferError."""
    return _shape_tensor(value, data)


def _shape_tensor(given: object, data: bytes | None) -> Tensor:
    value = cast("dict[str, Plain]", given) if isinstance(given, dict) else {}
    if not isinstance(value.get("name"), str):
        raise InferError("the answer is not V2: an output has no name")
    name, datatype, shape = str(value["name"]), value.get("datatype"), value.get("shape")
    if not isinstance(datatype, str) or not isinstance(shape, list):
        raise InferError(f"the answer is not V2: output `{shorten(name)}` has no datatype and shape")
    try:
        array = _read_data(datatype, value) if data is None else _read_raw(datatype, data)
    except (RawError, ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
        raise InferError(
            f"output `{shorten(name)}` of the answer cannot be read: {shorten(str(error))}"
        ) from error
    shaped = reshape_to(array, shape)
    if shaped is None:
        raise InferError(
            f"output `{shorten(name)}` of the answer has {array.size} values, which do not make its shape"
        )
    return Tensor(name, datatype, shaped)


def _read_data(datatype: str, fields: Mapping[str, Plain]) -> Array:
    parameters = fields.get("parameters")
    given = parameters if isinstance(parameters, dict) else {}
    data = flatten(fields.get("data"))
    if given.get("encoding") == _RAW:
        return _read_raw(datatype, base64.b64decode(str(data[0]) if data else "", validate=True))
    if datatype == "BYTES":
        content_type = given.get("content_type")
        return _objects(to_bytes(data, content_type if isinstance(content_type, str) else None))
    if datatype not in DTYPES:
        raise RawError(f"`{shorten(datatype)}` is not a datatype of the V2 protocol")
    if any(isinstance(each, str) for each in data):
        raise RawError(f"a text is no {datatype}")
    numbers = [float("nan") if each is None else each for each in data]
    with np.errstate(over="ignore"):
        # A number that a float cannot hold is infinite in it.
        return cast("Array", np.array(numbers, dtype=DTYPES[datatype]))


def _read_raw(datatype: str, data: bytes) -> Array:
    if datatype == "BYTES":
        return _objects(split_bytes(data))
    if datatype not in DTYPES:
        raise RawError(f"`{shorten(datatype)}` is not a datatype of the V2 protocol")
    return cast("Array", np.frombuffer(data, dtype=DTYPES[datatype]))


def _objects(elements: list[bytes]) -> Array:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return cast("Array", array)
