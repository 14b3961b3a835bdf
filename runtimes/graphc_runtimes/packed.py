"""Large JSON requests: their numbers straight into arrays, with no Python object made for each.

The numbers come out as those of the usual reader do, bit for bit; whatever is out of the ordinary is left to it.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import simdjson
from graphc_components.datatypes import Array, to_numpy

from graphc_runtimes.messages import EXACT

LEAST: Final = 16_384
"""Of smaller bodies the parser's own work is not worth it."""
_KEPT: Final = 2**25
"""A parser keeps several times the memory of the largest body that it saw: for larger ones there is one each."""

_Kind = Literal["d", "i", "u"]
_KINDS: Final[Mapping[str, _Kind]] = {
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64"), "i"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32", "UINT64"), "u"),
    **dict.fromkeys(("FP32", "FP64"), "d"),
}
_READ_AS: Final = {"d": np.dtype(np.float64), "i": np.dtype(np.int64), "u": np.dtype(np.uint64)}
_LOCAL: Final = threading.local()


@dataclass(frozen=True, slots=True)
class Packed:
    """A request whose tensors have no `data`: it is in the arrays, flat, in the order of the inputs."""

    fields: dict[str, object]
    arrays: list[Array]


def read_packed(text: bytes | memoryview) -> Packed | None:
    """Read a V2 request of flat lists of numbers; None where it is not one, or a number is not of its datatype."""
    raw = bytes(text)
    parser = _parser(len(raw))
    try:
        document = parser.parse(raw)
        return _read(document, raw) if isinstance(document, simdjson.Object) else None
    except (ValueError, TypeError, KeyError, RuntimeError):
        return None
    finally:
        # What was parsed has to be gone before the parser is used again.
        document = None


def _parser(size: int) -> simdjson.Parser:
    if size > _KEPT:
        return simdjson.Parser()
    found = cast("simdjson.Parser | None", getattr(_LOCAL, "parser", None))
    if found is None:
        found = _LOCAL.parser = simdjson.Parser()
    return found


def _read(document: simdjson.Object, raw: bytes) -> Packed | None:
    inputs = document["inputs"]
    # A list within a list of numbers would be read as if it were none.
    if not isinstance(inputs, simdjson.Array):
        return None
    if not _has_lists(raw, 1 + 2 * len(inputs) + ("outputs" in document)):
        return None
    tensors: list[object] = []
    arrays: list[Array] = []
    for each in inputs:
        if not isinstance(each, simdjson.Object):
            return None
        fields, data = _plain(each, "data"), each["data"]
        array = _read_data(data, fields.get("datatype")) if isinstance(data, simdjson.Array) else None
        # Parameters may say that the numbers are not what they look like.
        if array is None or "encoding" in cast("dict[str, object]", fields.get("parameters") or {}):
            return None
        tensors.append(fields)
        arrays.append(array)
    return Packed(_plain(document, "inputs") | {"inputs": tensors}, arrays)


def _has_lists(raw: bytes, count: int) -> bool:
    """Say whether so many lists begin in a text: finding a few is faster than counting."""
    at = -1
    for _ in range(count):
        at = raw.find(b"[", at + 1)
        if at < 0:
            return False
    return raw.find(b"[", at + 1) < 0


def _plain(value: simdjson.Object, without: str) -> dict[str, object]:
    """Return an object as Python's, but for one field; raises ValueError for a name that comes twice."""
    found: dict[str, object] = {}
    # The values that an object gives by the way have been made Python's already.
    for name in value.keys():  # noqa: SIM118 - an object of another kind
        if name in found:
            raise ValueError
        found[name] = None if name == without else _python(value[name])
    del found[without]
    return found


def _python(value: object) -> object:
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return cast("Any", value).as_list() if isinstance(value, simdjson.Array) else value


def _read_data(data: simdjson.Array, datatype: object) -> Array | None:
    kind = _KINDS.get(str(datatype))
    if kind is None or not len(data):
        return None
    wide = cast("Array", np.frombuffer(data.as_buffer(of_type=kind), _READ_AS[kind]))
    dtype = to_numpy(str(datatype))
    if wide.dtype == dtype:
        return wide
    least, most = wide.min(), wide.max()
    # Through a float64 a whole number beyond these would be rounded twice.
    bounds = (-EXACT, EXACT) if kind == "d" else (np.iinfo(dtype.name).min, np.iinfo(dtype.name).max)
    return wide.astype(dtype) if bounds[0] <= least and most <= bounds[1] else None
