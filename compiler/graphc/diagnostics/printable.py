"""Text from a user's file, made fit for one line of a message or a terminal."""

import re
import unicodedata
from typing import Final

LONGEST: Final = 60
"""Longer names are cut in messages."""

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


_USER: Final = re.compile(r"(?<=://)(?:[^/\s]*|[^/\s:]*:(?!\d*[/\s])\S{0,100})@")
"""Who logs in by a URI; a password may have a slash, which it should not."""


_QUERY: Final = re.compile(
    r"(?<=[?&])([\w.~-]*(?:sig|token|secret|credential|key|passw)[\w.~-]*=)[^&\s\"'`]+", re.I
)
"""What a query of a URI says that may let someone in, such as a signature."""


def conceal(text: str) -> str:
    """Return the text without what may let someone in: users and passwords of URIs, and their signed queries."""
    return _QUERY.sub(r"\1...", _USER.sub("...@", text)) if "://" in text else text


def conceal_in_place(line: str) -> str:
    """Return a line of a file without what `conceal` leaves out, and all else where it was."""
    if "://" not in line:
        return line
    line = _USER.sub(lambda found: "*" * (len(found[0]) - 1) + "@", line)
    return _QUERY.sub(lambda found: found[1] + "*" * (len(found[0]) - len(found[1])), line)


def escape(character: str) -> str:
    """Return the character, or its escape if it would not show or would command the terminal."""
    if character.isascii():
        return character if character.isprintable() else f"\\x{ord(character):02x}"
    code = ord(character)
    # The last two of each plane are no characters, and YAML has no place for U+FFFE and U+FFFF as such.
    if unicodedata.category(character) not in _HIDDEN and code & 0xFFFE != 0xFFFE:
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str) -> str:
    """Return the text without any character that would not show or would command a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(escape, text))


def quoted(name: str) -> str:
    """Return a user's word in backticks, on one line, not overly long, and without a password."""
    name = conceal(name)
    cut = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    return f"`{printable(cut)}`"
