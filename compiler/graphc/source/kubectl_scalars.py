"""What a plain scalar means to kubectl: its reader is of YAML 1.1, without numbers in base 60 and without dates."""

import re
import struct
from typing import Final

from graphc.source.scalars import Value

_TRUE: Final = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE: Final = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_NULL: Final = ("", "~", "null", "Null", "NULL")
_WORDS: Final[dict[str, Value]] = {
    **dict.fromkeys(_TRUE, True),
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys(_NULL, None),
}
_INTEGER: Final = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_POINTED: Final = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_INFINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_OCTAL: Final = re.compile(r"[-+]?0[0-7_]*[1-7][0-7_]*")
_LONGEST: Final = 1000
"""A longer scalar is no number that anybody wrote, and takes long to convert."""
_DIGITS: Final = 80
"""No integer of 64 bits has more digits than this, in any base."""


def resolve_plain(text: str) -> Value:
    """Return the value of a plain scalar as kubectl's YAML reader has it."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST:
        return text
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    # Underscores may stand anywhere, but only between digits where a point comes first.
    plain = text if text[0] == "." and not _POINTED.fullmatch(text) else text.replace("_", "")
    if (integer := _integer(plain)) is not None:
        return integer
    number = float(plain) if _FLOAT.fullmatch(plain) else float("inf")
    return text if number in (float("inf"), float("-inf")) else number


def as_json(value: Value) -> Value:
    """Return what arrives at the API server, to which JSON brings the value."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, int) and value >= 2**63:
        return float(value)
    return value


def key_text(value: Value) -> str | None:
    """Return the key that kubectl makes of a value; None where it refuses it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if value < 2**63 else None
        case float():
            return _shortest(value)
        case _:
            return value


def is_octal(text: str) -> bool:
    """Say whether a plain scalar is another number in base 8 than its digits seem to say."""
    return len(text) <= _DIGITS and _OCTAL.fullmatch(text) is not None and len(text.lstrip("+-0_")) > 1


def _integer(plain: str) -> int | None:
    if len(plain) > _DIGITS or not _INTEGER.fullmatch(plain):
        return None
    digits = plain.lstrip("+-")
    base = {"x": 16, "b": 2}.get(digits[1:2].lower(), 8 if digits[0] == "0" else 10)
    number = int(digits, base) * (-1 if plain[0] == "-" else 1)
    return number if -(2**63) <= number < (2**63 if plain[0] == "+" else 2**64) else None


def _shortest(number: float) -> str:
    """Return the shortest decimal that is the same number in 32 bits, which is how kubectl writes keys."""
    if number != number or number in (float("inf"), float("-inf")):
        return {"inf": ".inf", "-inf": "-.inf"}.get(str(number), ".nan")
    try:
        single = _single(number)
    except OverflowError:
        return ".inf" if number > 0 else "-.inf"
    tries = (f"{single:.{digits}e}" for digits in range(9))
    written = next(each for each in tries if _is_single(each, single))
    exponent = int(written.partition("e")[2])
    # Go counts on six digits here, and Python on as many as it writes.
    return f"{float(written):.15g}" if -4 <= exponent < 6 else written


def _single(number: float) -> float:
    """Return the nearest number of 32 bits; OverflowError where it is infinite."""
    return struct.unpack("<f", struct.pack("<f", number))[0]


def _is_single(written: str, single: float) -> bool:
    try:
        return _single(float(written)) == single
    except OverflowError:
        return False
