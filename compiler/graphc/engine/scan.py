"""Where a text stops being JSON, in the words of the executor's own JSON reader."""

import re
from typing import Final

MAX_DEPTH: Final = 10_000
"""The nesting that the executor's reader accepts."""

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS: Final = re.compile(rb"[0-9]*")
_LITERALS: Final = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_ESCAPES: Final = frozenset(b'bfnrt\\/"')
_NAMED: Final = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    39: "\\'",
    92: "\\\\",
}
_OPEN: Final = {ord("{"): "key or end", ord("["): "value or end"}
_CONTEXTS: Final = {
    "key": "looking for beginning of object key string",
    "colon": "after object key",
    "value": "looking for beginning of value",
}


class ScanError(ValueError):
    """A text is not JSON; the message is the one that the executor would give."""


def scan(data: bytes) -> None:
    """Read a text to its end; raises ScanError at the first byte that JSON forbids."""
    nesting: list[int] = []
    wanted, at = "value", _skip(data, 0)
    while at < len(data):
        wanted, at = _step(data, at, wanted, nesting)
        at = _skip(data, at)
    if wanted != "next" or nesting:
        raise ScanError("unexpected end of JSON input")


def _step(data: bytes, at: int, wanted: str, nesting: list[int]) -> tuple[str, int]:
    byte = data[at]
    if wanted == "next":
        return _after_value(byte, nesting), at + 1
    if wanted.endswith(" or end") and byte == nesting[-1] + 2:
        nesting.pop()
        return "next", at + 1
    wanted = wanted.removesuffix(" or end")
    if wanted == "value" and byte in _OPEN:
        nesting.append(byte)
        if len(nesting) > MAX_DEPTH:
            raise ScanError("exceeded max depth")
        return _OPEN[byte], at + 1
    if wanted == "value" and (end := _scalar(data, at)):
        return "next", end
    if wanted == "key" and byte == ord('"'):
        return "colon", _string(data, at + 1)
    if wanted == "colon" and byte == ord(":"):
        return "value", at + 1
    raise _invalid(byte, _CONTEXTS[wanted])


def _after_value(byte: int, nesting: list[int]) -> str:
    if not nesting:
        raise _invalid(byte, "after top-level value")
    inside_object = nesting[-1] == ord("{")
    if byte == ord(","):
        return "key" if inside_object else "value"
    if byte == nesting[-1] + 2:
        nesting.pop()
        return "next"
    raise _invalid(byte, "after object key:value pair" if inside_object else "after array element")


def _scalar(data: bytes, at: int) -> int | None:
    byte = data[at]
    if byte == ord('"'):
        return _string(data, at + 1)
    if byte in b"-0123456789":
        return _number(data, at)
    if byte in _LITERALS:
        return _literal(data, at, _LITERALS[byte])
    return None


def _string(data: bytes, at: int) -> int:
    while True:
        at = _end(_PLAIN, data, at)
        byte = _byte(data, at)
        if byte == ord('"'):
            return at + 1
        if byte != ord("\\"):
            raise _invalid(byte, "in string literal")
        at = _escape(data, at + 1)


def _escape(data: bytes, at: int) -> int:
    byte = _byte(data, at)
    if byte in _ESCAPES:
        return at + 1
    if byte != ord("u"):
        raise _invalid(byte, "in string escape code")
    for place in range(at + 1, at + 5):
        if _byte(data, place) not in _HEX:
            raise _invalid(data[place], "in \\u hexadecimal character escape")
    return at + 5


def _number(data: bytes, at: int) -> int:
    if data[at] == ord("-"):
        at += 1
    at = at + 1 if _byte(data, at) == ord("0") else _digits(data, at, "in numeric literal")
    if data[at : at + 1] == b".":
        at = _digits(data, at + 1, "after decimal point in numeric literal")
    if data[at : at + 1] in {b"e", b"E"}:
        signed = data[at + 1 : at + 2] in {b"+", b"-"}
        at = _digits(data, at + 1 + signed, "in exponent of numeric literal")
    return at


def _digits(data: bytes, at: int, context: str) -> int:
    end = _end(_DIGITS, data, at)
    if end == at:
        raise _invalid(_byte(data, at), context)
    return end


def _literal(data: bytes, at: int, literal: bytes) -> int:
    for place, letter in enumerate(literal[1:], at + 1):
        if _byte(data, place) != letter:
            raise _invalid(data[place], f"in literal {literal.decode()} (expecting '{chr(letter)}')")
    return at + len(literal)


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise ScanError("unexpected end of JSON input")
    return data[at]


def _skip(data: bytes, at: int) -> int:
    return _end(_SPACE, data, at)


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = pattern.match(data, at)
    return match.end() if match else at


def _invalid(byte: int, context: str) -> ScanError:
    return ScanError(f"invalid character '{_quote(byte)}' {context}")


def _quote(byte: int) -> str:
    if byte in _NAMED:
        return _NAMED[byte]
    if byte < 0x20 or byte == 0x7F:
        return f"\\x{byte:02x}"
    return chr(byte) if chr(byte).isprintable() else f"\\u{byte:04x}"
