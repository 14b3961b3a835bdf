"""Finds the objects of a text that is JSON, one or several, as kubectl takes them one after the other."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

# Each object is read with empty lines before it, so that its places are the file's.
_MOST_CHARACTERS: Final = 64 * 1024 * 1024

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_PAIR: Final = re.compile(
    r"\\\\|\\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
)
_TEXT_OR_TAB: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\t')


def split_objects(text: str) -> Sequence[str]:
    """Return a text that YAML reads at the same places for each object; the text itself where it is no JSON.

    YAML, which contains most of JSON, takes no tab before a value and nothing behind one.
    """
    start = _skip(text, 0)
    if not text.startswith("{", start):
        return [text]
    ends = _ends(text, start)
    if ends is None or (len(ends) * len(text) > _MOST_CHARACTERS and len(ends) > 1):
        return [text]
    return list(_place(text, ends))


def _ends(text: str, start: int) -> list[int] | None:
    """Return where each object ends; None where something is none."""
    decoder = json.JSONDecoder()
    found: list[int] = []
    while start < len(text):
        if not text.startswith("{", start):
            return None
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return None
        found.append(end)
        start = _skip(text, end)
    return found


def _skip(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start


def _place(text: str, ends: Sequence[int]) -> Iterator[str]:
    start, lines, column = 0, 0, 0
    for end in ends:
        part = text[start:end]
        yield "\n" * lines + " " * column + _TEXT_OR_TAB.sub(_as_yaml, part)
        last = max(part.rfind("\n"), part.rfind("\r"))
        lines += part.count("\n") + part.count("\r") - part.count("\r\n")
        column = column + len(part) if last < 0 else len(part) - last - 1
        start = end


def _as_yaml(found: re.Match[str]) -> str:
    written = found[0]
    if written == "\t":
        return " "
    joined = _PAIR.sub(_join, written)
    # As long as it was: what follows on the line keeps its place.
    return joined + " " * (len(written) - len(joined))


def _join(found: re.Match[str]) -> str:
    """Write a character that JSON writes in halves as YAML does; a backslash of a pair is no escape's."""
    if found["high"] is None:
        return found[0]
    code = 0x10000 + ((int(found["high"], 16) & 0x3FF) << 10) + (int(found["low"], 16) & 0x3FF)
    return f"\\U{code:08x}"
