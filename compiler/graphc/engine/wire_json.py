"""JSON as the executor reads and writes it: every number is a float64, keys are sorted, `<>&` are escaped."""

import json
import math
import re
from decimal import Decimal
from typing import Final, NoReturn

from graphc.engine.scan import ScanError, scan
from graphc.source.located import Plain

_MAY_OVERFLOW: Final = re.compile(r"[0-9][eE]\+?[0-9]{2}|[0-9]{200}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ESCAPED: Final = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    "\u2028".encode(): b"\\u2028",
    "\u2029".encode(): b"\\u2029",
}


class WireError(ValueError):
    """The executor cannot read a text; the message is the one that it would give."""


def decode(data: bytes) -> Plain:
    """Read a text with every number as a float; raises WireError."""
    text = data.decode("utf-8", "replace")
    parse_float = _checked_float if _MAY_OVERFLOW.search(text) else float
    return _load(data, text, parse_float)


def check(data: bytes) -> bool:
    """Say whether the bytes are JSON, be their numbers too large or not."""
    try:
        _load(data, data.decode("utf-8", "replace"), float)
    except WireError:
        return False
    return True


def encode(value: Plain) -> bytes:
    """Write a value: sorted keys, no spaces, the shortest numbers that read back as the same float64."""
    try:
        text = _write(value)
    except RecursionError as error:
        raise WireError("exceeded max depth") from error
    return escape_html(_SURROGATE.sub("\ufffd", text).encode())


def escape_html(data: bytes) -> bytes:
    """Escape what HTML could take for markup, wherever it stands in the bytes."""
    for plain, escaped in _ESCAPED.items():
        data = data.replace(plain, escaped)
    return data


def write_number(value: float) -> str:
    """Write one number without an exponent where 1e-6 <= |value| < 1e21."""
    text = repr(value)
    if "e" not in text:
        return text.removesuffix(".0")
    if 1e-6 <= abs(value) < 1e21:
        return format(Decimal(text), "f")
    return text.replace("e-0", "e-")


def _load(data: bytes, text: str, parse_float: "type[float] | _CheckedFloat") -> Plain:
    try:
        value: Plain = json.loads(
            text, parse_int=parse_float, parse_float=parse_float, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise WireError("exceeded max depth") from error
    except json.JSONDecodeError as error:
        raise _explain(data) from error
    return value


def _explain(data: bytes) -> WireError:
    try:
        scan(data)
    except ScanError as error:
        return WireError(str(error))
    return WireError("the text is not JSON")


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"`{name}` is not JSON", name, 0)


class _CheckedFloat:
    """Reads a number, and refuses one that no float64 can hold."""

    def __call__(self, text: str) -> float:
        value = float(text)
        if math.isinf(value):
            raise WireError(f"json: cannot unmarshal number {text} into Go value of type float64")
        return value


_checked_float: Final = _CheckedFloat()


def _write(value: Plain) -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case float():
            return write_number(value)
        case list():
            return _write_list(value)
        case dict():
            return "{" + ",".join(f"{_write(key)}:{_write(value[key])}" for key in sorted(value)) + "}"
        case _:
            return json.dumps(value)


def _write_list(values: list[Plain]) -> str:
    if set(map(type, values)) == {float}:
        text = repr(values)
        if "e" not in text:
            return text.replace(" ", "").replace(".0,", ",").replace(".0]", "]")
    return "[" + ",".join(map(_write, values)) + "]"
