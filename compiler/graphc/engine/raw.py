"""Tensors as raw bytes and as JSON's flat lists: the V2 protocol's two forms of the same data."""

import base64
import binascii
import struct
from collections.abc import Iterator, Sequence
from typing import Final, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from graphc.engine import fast_json
from graphc.engine.runs import Run, as_run
from graphc.source.located import Plain

DTYPES: Final[dict[str, str]] = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""How numpy lays out each datatype of fixed size on the wire; BF16 has no numpy type of its own."""

BASE64: Final = "base64"
_PART: Final = 16 * 1024
"""Values that are written at once: no more than the event loop can wait for."""


class RawError(ValueError):
    """Bytes or values do not fit their datatype; the message says why, in a user's words."""


def unpack(datatype: str, data: bytes) -> tuple[list[Plain], str | None]:
    """Return the flat values of raw bytes, and the content type where they need one; raises RawError."""
    if datatype == "BYTES":
        return _to_texts(split_bytes(data))
    return _finite(_load(datatype, data)), None


def pack(datatype: str, values: Plain, content_type: str | None = None) -> bytes:
    """Return the raw bytes of values, which may be nested lists; raises RawError."""
    if run := as_run(values):
        return b"".join(pack(datatype, each, content_type) for each in _read(run))
    flat = flatten(values)
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(each)) + each for each in to_bytes(flat, content_type))
    try:
        with np.errstate(over="raise"):
            return _pack_numbers(datatype, flat)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise RawError(f"the values are not of datatype {datatype}") from error


def _read(run: Run) -> Iterator[list[Plain]]:
    try:
        yield from run.lists()
    except ValueError as error:
        raise RawError("the data is not JSON") from error


def count_values(datatype: str, data: bytes) -> int | None:
    """Return how many values raw bytes hold, None where each has a length of its own; raises RawError."""
    if datatype == "BYTES":
        return None
    size = 2 if datatype == "BF16" else np.dtype(_dtype(datatype)).itemsize
    _check_size(data, size, datatype)
    return len(data) // size


def write(datatype: str, data: bytes) -> Run:
    """Return the values of raw bytes, of a datatype of fixed size, as JSON; raises RawError."""
    return write_array(_load(datatype, data))


def write_array(array: NDArray[np.generic]) -> Run:
    """Return the values of a flat array as JSON, NaN as null; raises RawError for an infinity."""
    return Run([_write_part(array[at : at + _PART]) for at in range(0, len(array), _PART)])


def write_list(values: Sequence[Plain], dtype: DTypeLike) -> bytes:
    """Return a few values as JSON without brackets; raises RawError for an infinity."""
    return _write_part(np.asarray(values, dtype=dtype))


def _write_part(part: NDArray[np.generic]) -> bytes:
    if part.dtype == np.float16:
        part = part.astype("<f4")
    if part.dtype.kind == "f" and np.isinf(part).any():
        raise RawError("an infinity cannot be sent through units that speak JSON")
    return fast_json.write_numbers(part)[1:-1]


def _pack_numbers(datatype: str, flat: list[Plain]) -> bytes:
    if datatype == "BF16":
        wide = np.asarray(flat, dtype="<f4").view("<u4")
        return (wide >> 16).astype("<u2").tobytes()
    return np.asarray(_whole(flat, datatype), dtype=_dtype(datatype)).tobytes()


def _whole(flat: list[Plain], datatype: str) -> list[Plain]:
    # numpy would cut 1.5 down to an integer without a word.
    if "INT" not in datatype or not any(isinstance(each, float) for each in flat):
        return flat
    if not all(each.is_integer() for each in flat if isinstance(each, float)):
        raise RawError(f"the values are not of datatype {datatype}")
    return [int(each) if isinstance(each, float) else each for each in flat]


def flatten(values: Plain) -> list[Plain]:
    """Return the values of lists within lists in row-major order; raises RawError."""
    if run := as_run(values):
        return [leaf for each in _read(run) for leaf in flatten(each)]
    if not isinstance(values, list):
        raise RawError("the data is not a list")
    while any(isinstance(each, list) for each in values):
        values = [leaf for each in values for leaf in (each if isinstance(each, list) else [each])]
    return values


def split_bytes(data: bytes, most: int | None = None) -> list[bytes]:
    """Return the elements of a raw BYTES tensor, and no more of them than asked for; raises RawError."""
    elements: list[bytes] = []
    at = 0
    while at < len(data) and len(elements) != most:
        if at + 4 > len(data):
            raise RawError("a BYTES element has no whole length")
        (length,) = struct.unpack_from("<I", data, at)
        element = data[at + 4 : at + 4 + length]
        if len(element) != length:
            raise RawError("a BYTES element is cut short")
        elements.append(element)
        at += 4 + length
    return elements


def to_bytes(flat: list[Plain], content_type: str | None) -> list[bytes]:
    """Return the elements of a BYTES tensor that came as JSON; raises RawError."""
    texts = [each for each in flat if isinstance(each, str)]
    if len(texts) != len(flat):
        raise RawError("an element of a BYTES tensor is not a text")
    if content_type != BASE64:
        return [text.encode("utf-8", "surrogatepass") for text in texts]
    try:
        return [base64.b64decode(text, validate=True) for text in texts]
    except (binascii.Error, ValueError) as error:
        raise RawError("an element of a BYTES tensor is not base64") from error


def from_bytes(elements: list[bytes]) -> tuple[list[Plain], str | None]:
    """Return the elements as JSON holds them, with `base64` where one of them is not UTF-8."""
    return _to_texts(elements)


def _to_texts(elements: list[bytes]) -> tuple[list[Plain], str | None]:
    try:
        return [each.decode() for each in elements], None
    except UnicodeDecodeError:
        return [base64.b64encode(each).decode() for each in elements], BASE64


def _load(datatype: str, data: bytes) -> NDArray[np.generic]:
    if datatype == "BF16":
        _check_size(data, 2, datatype)
        return (np.frombuffer(data, dtype="<u2").astype("<u4") << 16).view("<f4")
    dtype = np.dtype(_dtype(datatype))
    _check_size(data, dtype.itemsize, datatype)
    return np.frombuffer(data, dtype=dtype)


def _check_size(data: bytes, size: int, datatype: str) -> None:
    if len(data) % size:
        raise RawError(f"{len(data)} bytes are no whole number of {datatype} values")


def _dtype(datatype: str) -> DTypeLike:
    if datatype not in DTYPES:
        raise RawError(f"`{datatype}` is not a datatype of the V2 protocol")
    return DTYPES[datatype]


def _finite(array: NDArray[np.generic]) -> list[Plain]:
    values = cast("list[Plain]", array.tolist())
    if array.dtype.kind != "f":
        return values
    numbers = array.astype("<f8")
    if np.isinf(numbers).any():
        raise RawError("an infinity cannot be sent through units that speak JSON")
    if np.isnan(numbers).any():
        return [None if each != each else each for each in values]
    return values
