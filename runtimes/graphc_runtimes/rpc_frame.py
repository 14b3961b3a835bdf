"""The frame of a request over gRPC, looked at in its bytes before protobuf makes objects of all that it holds.

An empty tensor is two bytes, and protobuf makes ninety of them: so a large message is judged by its parts first.
"""

from collections.abc import Iterator
from typing import Final

from graphc_runtimes.errors import RequestError
from graphc_runtimes.reading import MOST_TENSORS
from graphc_runtimes.shapes import MOST_DIMS

LEAST: Final = 2**16
"""Anything made of a smaller message is small enough."""
_MOST_FIELDS: Final = 16 * MOST_TENSORS
"""Of a message and its tensors: names, shapes, parameters, contents."""
_INPUTS: Final = 5
_SHAPE: Final = 3
_MOST_SHAPE: Final = 10 * MOST_DIMS
"""A size takes at most ten bytes."""
_MOST_VARINT: Final = 10
_DELIMITED: Final = 2
_FIXED: Final = {1: 8, 5: 4}


def check_frame(raw: bytes) -> None:
    """Refuse a ModelInferRequest of too many parts; raises RequestError."""
    left = _MOST_FIELDS
    for number, start, end in _fields(raw, 0, len(raw)):
        left -= 1
        if number == _INPUTS:
            left = _check_tensor(raw, start, end, left)
        if left < 0:
            raise RequestError(
                f"the message has more than {_MOST_FIELDS} fields; it may have {MOST_TENSORS} tensors"
            )


def _check_tensor(raw: bytes, start: int, end: int, left: int) -> int:
    """Return how many fields are left once those of a tensor are counted."""
    for number, begin, stop in _fields(raw, start, end):
        left -= 1
        if number == _SHAPE and stop - begin > _MOST_SHAPE:
            raise RequestError(f"a tensor has more than {MOST_DIMS} dimensions")
        if left < 0:
            break
    return left


def _fields(raw: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each field, and where its value begins and ends."""
    while at < end:
        tag, at = _read_varint(raw, at, end)
        kind, size = tag & 7, 0
        if kind == 0:
            start = at
            _, at = _read_varint(raw, at, end)
        else:
            if kind == _DELIMITED:
                size, at = _read_varint(raw, at, end)
            elif kind in _FIXED:
                size = _FIXED[kind]
            else:
                raise _broken()
            start, at = at, at + size
        if at > end:
            raise _broken()
        yield tag >> 3, start, at


def _read_varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    found = shift = 0
    for place in range(at, min(at + _MOST_VARINT, end)):
        byte = raw[place]
        found |= (byte & 127) << shift
        if byte < 128:
            return found, place + 1
        shift += 7
    raise _broken()


def _broken() -> RequestError:
    return RequestError("the message is no ModelInferRequest")
