"""Tensors as a class for Seldon's language wrapper gets them.

The wrapper reads JSON, so its classes get what numpy makes of lists: float64, int64, truth values or texts, whatever
a tensor's datatype is.
"""

import base64
from collections.abc import Sequence
from typing import Final, cast

import numpy as np
import orjson
from graphc_components.datatypes import Array, bytes_of

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import BadInputError
from graphc_runtimes.region import Payload

_LARGEST: Final = 2**63 - 1


def to_payload(payload: Payload, array: Array) -> object:
    """Return what a method gets of a tensor, its own to change; raises BadInputError and ArrayError."""
    match payload:
        case "ndarray" | "tensor":
            return _widen(array)
        case "strData":
            return _text(_single(array, payload))
        case "binData":
            return _single(array, payload)
        case "jsonData":
            try:
                return cast("object", orjson.loads(_single(array, payload)))
            except orjson.JSONDecodeError:
                raise BadInputError("the text is not JSON") from None


def to_raw(payload: Payload, array: Array, names: Sequence[str]) -> dict[str, object]:
    """Return the fields of the message that a raw method gets of a tensor; raises as `to_payload` does."""
    if payload == "binData":
        return {payload: base64.b64encode(_single(array, payload)).decode()}
    if payload in ("strData", "jsonData"):
        return {payload: to_payload(payload, array)}
    wide = _widen(array)
    if payload == "ndarray":
        return {"data": {"names": list(names), "ndarray": wide.tolist()}}
    tensor = {"shape": list(wide.shape), "values": wide.ravel().tolist()}
    return {"data": {"names": list(names), "tensor": tensor}}


def _widen(array: Array) -> Array:
    """Return a copy with the type that numpy gives to the numbers or texts of JSON."""
    match array.dtype.kind:
        case "f":
            return array.astype(np.float64)
        case "i":
            return array.astype(np.int64)
        case "u":
            is_large = array.size and int(array.max()) > _LARGEST
            return array.astype(np.uint64 if is_large else np.int64)
        case "b":
            return array.copy()
        case _:
            texts = [_text(each) for each in bytes_of(array)]
            return cast("Array", np.array(texts, np.str_).reshape(array.shape))


def _single(array: Array, payload: Payload) -> bytes:
    found = bytes_of(array) if array.dtype.kind == "O" else ()
    if len(found) != 1:
        raise ArrayError(
            f"takes one text or one run of bytes as `{payload}`, and was given {array.size} values"
        )
    return found[0]


def _text(element: bytes) -> str:
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise BadInputError("a text is not UTF-8") from None
