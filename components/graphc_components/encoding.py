"""Transformers between datatypes: categories, labels, and plain casts."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

import numpy as np

from graphc_components.component import ComponentError
from graphc_components.datatypes import (
    Array,
    Booleans,
    bytes_array,
    bytes_of,
    floats,
    is_float,
    to_datatype,
    to_numpy,
)

_Parsed = TypeVar("_Parsed")


def one_hot(
    x: Array, *, categories: Sequence[int | str], unknown: str = "error", datatype: str = "FP32"
) -> Array:
    """Add an axis with a 1 at the value's place among the categories.

    A value that is no category is an error, or all zeros where `unknown` is `ignore`.
    """
    known = _members(categories, x.dtype)
    hot = cast("Booleans", x[..., np.newaxis] == known)
    missing = ~hot.any(axis=-1)
    if unknown == "error" and missing.any():
        raise ComponentError(f"{_show(x[missing][0])} is not one of the categories")
    return hot.astype(to_numpy(datatype))


def label_map(x: Array, *, labels: Sequence[str] | Mapping[str, str], default: str | None = None) -> Array:
    """Return the label of each value: by position in a list, or by the value's text in a mapping.

    A value without a label gets `default`; where there is none, it is an error.
    """
    pairs = (
        labels.items() if isinstance(labels, Mapping) else ((str(i), label) for i, label in enumerate(labels))
    )
    table = {key.encode(): label.encode() for key, label in pairs}
    texts = bytes_of(cast_to(x, datatype="BYTES"))
    if default is None:
        unknown = next((text for text in texts if text not in table), None)
        if unknown is not None:
            raise ComponentError(f"{_show(unknown)} has no label")
    fallback = (default or "").encode()
    return bytes_array((table.get(text, fallback) for text in texts), x.shape)


def cast_to(x: Array, *, datatype: str) -> Array:
    """Convert to another datatype; a value that the datatype cannot hold is an error, never a wrong value.

    - To an integer: a fraction is cut off towards zero; NaN, infinity and values out of range are errors.
    - To a float: the nearest value; a finite value that would become infinite is an error.
    - To BOOL: anything but zero is true; NaN is an error. From BOOL: 0 and 1.
    - To BYTES: decimal text, the shortest that reads back as the same value; `true` and `false`.
    - From BYTES: such text, in ASCII, without spaces; `nan` and `inf` for floats, `1` and `0` too for BOOL.
    """
    source = to_datatype(x.dtype)
    if source == datatype:
        return x.copy()
    if datatype == "BYTES":
        return bytes_array((_text(value).encode() for value in x.ravel()), x.shape)
    if source == "BYTES":
        return _parse(x, datatype)
    if datatype == "BOOL":
        return _to_bool(x)
    target = to_numpy(datatype)
    return _to_float(x, target) if target.kind == "f" else _to_integer(x, target)


def _members(categories: Sequence[int | str], dtype: np.dtype[np.generic]) -> Array:
    encoded = [each.encode() for each in categories if isinstance(each, str)]
    return bytes_array(encoded, (len(encoded),)) if encoded else np.asarray(categories, dtype=dtype)


def _to_bool(x: Array) -> Array:
    if is_float(x) and np.isnan(floats(x)).any():
        raise ComponentError("NaN is neither true nor false")
    return x.astype(np.bool_)


def _to_float(x: Array, target: np.dtype[np.generic]) -> Array:
    with np.errstate(over="ignore"):
        converted = x.astype(target)
    lost = np.isinf(floats(converted)) & np.isfinite(floats(x))
    if lost.any():
        raise _out_of_range(x[lost][0], target)
    return converted


def _to_integer(x: Array, target: np.dtype[np.generic]) -> Array:
    limits = np.iinfo(str(target))
    if is_float(x):
        whole = np.trunc(floats(x))
        # The limit above is a power of two, which FP64 holds; the greatest INT64 it would round up.
        fits = (whole >= float(limits.min)) & (whole < float(int(limits.max) + 1))
        if not fits.all():
            raise _out_of_range(x[~fits][0], target)
        return whole.astype(target)
    for extreme in (x.min(), x.max()) if x.size else ():
        if not limits.min <= int(extreme) <= limits.max:
            raise _out_of_range(extreme, target)
    return x.astype(target)


def _parse(x: Array, datatype: str) -> Array:
    target = to_numpy(datatype)
    parse = {"b": _parse_bool, "f": _parse_float}.get(target.kind, _parse_integer)
    values = [_parse_one(parse, raw, datatype) for raw in bytes_of(x)]
    if target.kind == "f":
        return _to_float(np.asarray(values, dtype=np.float64), target).reshape(x.shape)
    outside = next((value for value in values if not _fits(value, target)), None)
    if outside is not None:
        raise _out_of_range(outside, target)
    return np.asarray(values, dtype=target).reshape(x.shape)


def _fits(value: float, target: np.dtype[np.generic]) -> bool:
    if target.kind == "b":
        return True
    limits = np.iinfo(str(target))
    return int(limits.min) <= value <= int(limits.max)


def _parse_one(parse: Callable[[str], _Parsed], raw: bytes, datatype: str) -> _Parsed:
    try:
        text = raw.decode("ascii")
        # Python reads ` 1_000 ` as a number, which other languages do not.
        if "_" in text or text != text.strip():
            raise ValueError(text)
        return parse(text)
    except (ValueError, KeyError):
        raise ComponentError(f"{_show(raw)} does not read as {datatype}") from None


def _parse_bool(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text]


def _parse_integer(text: str) -> int:
    return int(text)


def _parse_float(text: str) -> float:
    value = float(text)
    if np.isinf(value) and "inf" not in text.lower():
        raise ValueError(text)
    return value


def _text(value: object) -> str:
    return str(value).lower()


def _show(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return f"`{text[:40]}`"


def _out_of_range(value: object, target: np.dtype[np.generic]) -> ComponentError:
    return ComponentError(f"`{value}` is not a value of {to_datatype(target)}")
