"""Text from a user's file, made fit for one line of a message or a terminal."""

import unicodedata
from typing import Final

LONGEST: Final = 60
"""Longer names are cut in messages."""

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def escape(character: str) -> str:
    """Return the character, or its escape if it would not show or would command the terminal."""
    if character.isascii():
        return character if character.isprintable() else f"\\x{ord(character):02x}"
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str) -> str:
    """Return the text without any character that would not show or would command a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(escape, text))


def quoted(name: str) -> str:
    """Return a user's word in backticks, on one line and not overly long."""
    cut = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    return f"`{printable(cut)}`"
