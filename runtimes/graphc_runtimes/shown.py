"""What a client sent, as it may stand in an error: short, on one line, and without what a terminal would obey."""

from collections.abc import Sequence
from typing import Final

_MOST: Final = 80
_MOST_SIZES: Final = 12
_MOST_ERROR: Final = 2000
_CUT: Final = "..."


def show(text: str) -> str:
    """Return a name in backticks, cut and escaped."""
    return f"`{_escape(text[:_MOST])}{_CUT if len(text) > _MOST else ''}`"


def _escape(text: str) -> str:
    if text.isprintable() and "`" not in text:
        return text
    return "".join(each if each.isprintable() and each != "`" else _code(each) for each in text)


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"


def show_shape(shape: Sequence[int]) -> str:
    """Return a shape as text, cut after the most sizes that a tensor can have."""
    told = [str(size)[:24] for size in shape[:_MOST_SIZES]]
    return f"[{', '.join(told)}{', ' + _CUT if len(shape) > _MOST_SIZES else ''}]"


def cut_error(text: str) -> str:
    """Return the text of an error in a length that every client accepts."""
    return text if len(text) <= _MOST_ERROR else text[:_MOST_ERROR] + _CUT


_WORDS: Final = {
    type(None): "a null",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    str: "a text",
    bytes: "a text",
    list: "a list",
    dict: "an object",
}


def describe_kind(kind: type) -> str:
    """Return what a value of a class is in the words of JSON."""
    return _WORDS.get(kind, "a value")
