"""V2 answers as the bytes of an HTTP body: JSON, and JSON with raw tensors behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import orjson
from graphc_components.datatypes import Array

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.errors import RunError
from graphc_runtimes.messages import WireTensor, encode, to_raw, write_tensor
from graphc_runtimes.numerals import Text as Body
from graphc_runtimes.reading import SIZE, Asked, Fields

LENGTH_HEADER: Final = "inference-header-content-length"
"""The header that says how many bytes of a body are JSON; the tensors' raw bytes follow."""

_FEW: Final = 128
"""Fewer elements than these are written faster by way of a list."""


@dataclass(frozen=True, slots=True)
class Written:
    """The body of an answer; `json_length` says where its JSON ends, if raw tensors follow."""

    parts: Sequence[Body]
    json_length: int | None = None


def write_infer(
    fields: Fields, tensors: Sequence[WireTensor], asked: Asked | None, unit: str, key: str = "outputs"
) -> Written:
    """Write an answer: `fields` with the tensors as `outputs`, or as another `key`; raises RunError."""
    raws: list[bytes] = []
    outputs: list[Fields] = []
    for tensor in tensors:
        if asked is not None and tensor.array is not None and asked.wants_raw(tensor.name):
            raws.append(to_raw(tensor.array, tensor.datatype))
            outputs.append({**_describe(tensor), "parameters": {SIZE: len(raws[-1])}})
        else:
            outputs.append(_write_tensor(tensor, unit))
    text = orjson.dumps(fields | {key: outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
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
