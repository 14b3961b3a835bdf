"""Values converted to another datatype, or refused where it cannot hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from graphc_components.arguments import text
from graphc_components.component import Component, ComponentError, Parameter, ParameterKind, Role, Values
from graphc_components.late import datatypes, np, steps
from graphc_components.tensors import FLOATS, TensorType, value_range

_Parsed = TypeVar("_Parsed")


def cast_to(x: datatypes.Array, *, datatype: str) -> datatypes.Array:
    """Convert to another datatype; a value that the datatype cannot hold is an error, never a wrong value.

    - To an integer: a fraction is cut off towards zero; NaN, infinity and values out of range are errors.
    - To a float: the nearest value; a finite value that would become infinite is an error.
    - To BOOL: anything but zero is true; NaN is an error. From BOOL: 0 and 1.
    - To BYTES: decimal text, the shortest that reads back as the same value; `true` and `false`.
    - From BYTES: such text, in ASCII, without spaces; `nan` and `inf` for floats, `1` and `0` too for BOOL.
    """
    source = datatypes.to_datatype(x.dtype)
    if source == datatype:
        return x.copy()
    if datatype == "BYTES":
        return datatypes.bytes_array((_text(value).encode() for value in x.ravel()), x.shape)
    if source == "BYTES":
        return _parse(x, datatype)
    if datatype == "BOOL":
        return _to_bool(x)
    target = datatypes.to_numpy(datatype)
    return _to_float(x, target) if target.kind == "f" else _to_integer(x, target)


def _text(value: object) -> str:
    return str(value).lower()


def _parse(x: datatypes.Array, datatype: str) -> datatypes.Array:
    target = datatypes.to_numpy(datatype)
    parse = {"b": _parse_bool, "f": _parse_float}.get(target.kind, _parse_integer)
    values = [_parse_one(parse, raw, datatype) for raw in datatypes.bytes_of(x)]
    if target.kind == "f":
        return _to_float(np.asarray(values, dtype=np.float64), target).reshape(x.shape)
    outside = next((value for value in values if not _fits(value, target)), None)
    if outside is not None:
        raise _out_of_range(outside, target)
    return np.asarray(values, dtype=target).reshape(x.shape)


def _to_bool(x: datatypes.Array) -> datatypes.Array:
    if datatypes.is_float(x) and np.isnan(datatypes.floats(x)).any():
        raise ComponentError("NaN is neither true nor false")
    return x.astype(np.bool_)


def _to_float(x: datatypes.Array, target: np.dtype[np.generic]) -> datatypes.Array:
    with np.errstate(over="ignore"):
        converted = x.astype(target)
    lost = np.isinf(datatypes.floats(converted)) & np.isfinite(datatypes.floats(x))
    if lost.any():
        raise _out_of_range(x[lost][0], target)
    return converted


def _to_integer(x: datatypes.Array, target: np.dtype[np.generic]) -> datatypes.Array:
    limits = np.iinfo(str(target))
    if datatypes.is_float(x):
        whole = np.trunc(datatypes.floats(x))
        # The limit above is a power of two, which FP64 holds; the greatest INT64 it would round up.
        fits = (whole >= float(limits.min)) & (whole < float(int(limits.max) + 1))
        if not fits.all():
            raise _out_of_range(x[~fits][0], target)
        return whole.astype(target)
    for extreme in (x.min(), x.max()) if x.size else ():
        if not limits.min <= int(extreme) <= limits.max:
            raise _out_of_range(extreme, target)
    return x.astype(target)


def _parse_bool(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text]


def _parse_float(text: str) -> float:
    value = float(text)
    if np.isinf(value) and "inf" not in text.lower():
        raise ValueError(text)
    return value


def _parse_integer(text: str) -> int:
    return int(text)


def _parse_one(parse: Callable[[str], _Parsed], raw: bytes, datatype: str) -> _Parsed:
    try:
        text = raw.decode("ascii")
        # Python reads ` 1_000 ` as a number, which other languages do not.
        if "_" in text or text != text.strip():
            raise ValueError(text)
        return parse(text)
    except (ValueError, KeyError):
        raise ComponentError(f"{datatypes.show(raw)} does not read as {datatype}") from None


def _fits(value: float, target: np.dtype[np.generic]) -> bool:
    if target.kind == "b":
        return True
    limits = np.iinfo(str(target))
    return int(limits.min) <= value <= int(limits.max)


def _out_of_range(value: object, target: np.dtype[np.generic]) -> ComponentError:
    return ComponentError(f"`{value}` is not a value of {datatypes.to_datatype(target)}")


def _signature(types: tuple[TensorType, ...], values: Values) -> dict[str, TensorType]:
    return {"output": types[0].with_datatype(text(values, "datatype"))}


def _onnx(writer: steps.Writer, values: Values) -> list[str] | None:
    """State the conversion, where no value fails it."""
    source, target = writer.types[0].datatype, text(values, "datatype")
    return [writer.cast(writer.inputs[0], source, target)] if _is_total(source, target) else None


def _is_total(source: str, target: str) -> bool:
    if source == target:
        return True
    if target == "BYTES":
        return source in {"INT32", "INT64"}
    # A number of an integer datatype may be infinity in FP16, and ONNX Runtime does not round as numpy does.
    if target == "FP16":
        return False
    if source == "BOOL":
        return True
    if source in FLOATS:
        return target in FLOATS and int(source[2:]) < int(target[2:])
    return target in FLOATS or target == "BOOL" or _contains(target, source)


def _contains(target: str, source: str) -> bool:
    least, greatest = value_range(source)
    return value_range(target)[0] <= least and greatest <= value_range(target)[1]


COMPONENT = Component(
    name="cast",
    role=Role.TRANSFORMER,
    summary="Converts to another datatype; a value that it cannot hold fails the request.",
    signature=_signature,
    function=cast_to,
    onnx=_onnx,
    inputs=("x",),
    parameters=(
        Parameter(
            name="datatype", kind=ParameterKind.DATATYPE, required=True, doc="The datatype of the answer."
        ),
    ),
)
