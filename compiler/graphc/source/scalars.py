"""What a plain scalar means: the core schema of YAML 1.2, and where older readers disagree with it."""

import re
from typing import Final

Value = bool | int | float | str | None

_WORDS: Final[dict[str, Value]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DIGITS: Final = 24
"""No integer of 64 bits has more digits than this; far longer ones are costly to convert."""

_LONGEST: Final = 100
"""A longer scalar is not what somebody wrote for a number or a date."""
_BOOLEAN_WORDS: Final = frozenset({"yes", "no", "on", "off"})
_OCTAL: Final = re.compile(r"[-+]?0[0-9_]+")
_UNDERSCORED: Final = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?")
_SEXAGESIMAL: Final = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?")
_BINARY: Final = re.compile(r"[-+]?0b[01_]+")


class OutOfRange(ValueError):  # noqa: N818 - a value's fate, not a failure of the program
    """A number that does not fit into 64 bits."""


def resolve(text: str) -> Value:
    """Return the value of a plain scalar; OutOfRange for a number that 64 bits cannot hold."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    if _FLOAT.fullmatch(text):
        return _float(text)
    return text


def _integer(text: str) -> int:
    significant = text.lstrip("+-").lstrip("0")
    if len(significant) <= _DIGITS:
        number = int(text, 0) if text[1:2] in ("o", "x") else int(significant or "0")
        number = -number if text[0] == "-" else number
        if -(2**63) <= number < 2**64:
            return number
    raise OutOfRange(text)


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise OutOfRange(text)
    return number


def is_boolean_word(text: str) -> bool:
    """Say whether readers of YAML 1.1 take a plain word as a boolean that YAML 1.2 takes as text."""
    return len(text) <= 3 and text.lower() in _BOOLEAN_WORDS


def misreading(text: str) -> str | None:
    """Return what readers of YAML 1.1 take a plain scalar for where YAML 1.2 disagrees, numbers only."""
    if not text or len(text) > _LONGEST or text[0] not in "+-0123456789":
        return None
    if _OCTAL.fullmatch(text):
        return "an octal number"
    if _SEXAGESIMAL.fullmatch(text):
        return "a number in base 60"
    if _DATE.fullmatch(text):
        return "a date"
    if _BINARY.fullmatch(text) or ("_" in text and _UNDERSCORED.fullmatch(text)):
        return "a number"
    return None
