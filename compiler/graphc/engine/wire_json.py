"""JSON as the executor reads and writes it: every number is a float64, keys are sorted, `<>&` are escaped."""

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final, NoReturn, cast

from graphc.engine import fast_json, runs
from graphc.engine.runs import as_run, as_value
from graphc.engine.scan import ScanError, scan
from graphc.source.located import Plain

_MINUS_ZERO: Final = re.compile(rb"-0(?![.0-9eE])")
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
    try:
        return _to_floats(runs.read(data), data)
    except (ValueError, OverflowError):
        return _decode_slowly(data)


def _decode_slowly(data: bytes) -> Plain:
    value = _load(data, float)
    try:
        overflows = _has_infinity(value)
    except RecursionError as error:
        raise WireError("exceeded max depth") from error
    return _load(data, _read_finite) if overflows else value


def check(data: bytes) -> bool:
    """Say whether the bytes are JSON, be their numbers too large or not."""
    try:
        _read_runs(runs.read(data))
    except ValueError:
        return _is_json(data)
    return True


def _read_runs(value: Plain) -> None:
    """Read what runs hold; raises ValueError."""
    if run := as_run(value):
        for _ in run.lists():
            pass
    elif isinstance(value, dict):
        for each in value.values():
            _read_runs(each)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for each in value:
            _read_runs(each)


def _is_json(data: bytes) -> bool:
    try:
        _load(data, float)
    except WireError:
        return False
    return True


def encode(value: Plain) -> bytes:
    """Write a value: sorted keys, no spaces, the shortest numbers that read back as the same float64."""
    try:
        text = _write(value)
    except RecursionError as error:
        raise WireError("exceeded max depth") from error
    try:
        return escape_html(text.encode())
    except UnicodeEncodeError:
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


def _to_floats(value: Plain, data: bytes) -> Plain:
    """Turn integers to floats; raises ValueError for what is too large or a zero that has lost its sign."""
    if run := as_run(value):
        return as_value(run.map(lambda piece: _write(_to_floats(fast_json.read(piece), piece)).encode()))
    match value:
        case bool():
            return value
        case int() | float():
            return _numbers_to_floats([value], data)[0]
        case list():
            # Most lists are a tensor's data: only numbers, and maybe millions of them.
            if set(map(type, value)) <= {float, int}:
                return _numbers_to_floats(value, data)
            return [_to_floats(each, data) for each in value]
        case dict():
            return {key: _to_floats(each, data) for key, each in value.items()}
        case _:
            return value


def _numbers_to_floats(values: list[Plain], data: bytes) -> list[Plain]:
    if int in set(map(type, values)):
        if 0 in values and _MINUS_ZERO.search(data):
            raise ValueError
        values = [*map(float, cast("list[float]", values))]
    if math.inf in values or -math.inf in values:
        raise ValueError
    return values


def _load(data: bytes, read_number: Callable[[str], float]) -> Plain:
    text = data.decode("utf-8", "replace")
    try:
        value: Plain = json.loads(
            text, parse_int=read_number, parse_float=read_number, parse_constant=_refuse_constant
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


def _has_infinity(value: Plain) -> bool:
    match value:
        case float():
            return math.isinf(value)
        case list():
            return math.inf in value or -math.inf in value or any(map(_has_infinity, _containers(value)))
        case dict():
            return any(map(_has_infinity, value.values()))
        case _:
            return False


def _containers(values: list[Plain]) -> list[Plain]:
    # Most lists are a tensor's data: only numbers, and maybe millions of them.
    return [] if set(map(type, values)) == {float} else values


def _read_finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise WireError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return value


def _write(value: Plain) -> str:
    if run := as_run(value):
        return run.text().decode()
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
        text = fast_json.write_floats(values).replace(".0,", ",").removesuffix(".0")
        return f"[{_rewrite_exponents(text)}]"
    return "[" + ",".join(map(_write, values)) + "]"


def _rewrite_exponents(text: str) -> str:
    """Write the few numbers that have an exponent as Go does."""
    pieces: list[str] = []
    at = 0
    while (found := text.find("e", at)) >= 0:
        start = text.rfind(",", at, found) + 1 or at
        end = text.find(",", found)
        end = len(text) if end < 0 else end
        pieces += [text[at:start], write_number(float(text[start:end]))]
        at = end
    return "".join([*pieces, text[at:]])
