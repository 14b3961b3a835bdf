"""Finds members of a JSON document without parsing what lies between them."""

import json
import re
from collections.abc import Iterator
from typing import Final

from graphc.artefacts.source import MalformedError

_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ATOM: Final = re.compile(rb"[-+.\w]++")
_BRACKET_OR_QUOTE: Final = re.compile(rb'["\[\]{}]')
_MAX_TEXT: Final = 1 << 16


class JsonDocument:
    """A JSON document; a value is known by its offset."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def root(self) -> int:
        """The offset of the outermost value."""
        return self._past_space(0)

    def members(self, at: int) -> Iterator[tuple[str, int]]:
        """Yield the keys of an object with the offsets of their values; raises MalformedError."""
        self._expect(at, b"{")
        at = self._past_space(at + 1)
        while self._peek(at) == b'"':
            end = self._past_string(at)
            key, at = self.text(at), self._past_space(end)
            self._expect(at, b":")
            value = self._past_space(at + 1)
            yield key, value
            at = self._past_space(self._past_value(value))
            if self._peek(at) != b",":
                break
            at = self._past_space(at + 1)
        self._expect(at, b"}")

    def text(self, at: int) -> str:
        """Return the string at an offset; raises MalformedError."""
        end = self._past_string(at)
        try:
            value: object = json.loads(self._data[at:end]) if end - at <= _MAX_TEXT else None
        except ValueError as error:
            raise MalformedError("a text in it is not JSON") from error
        if not isinstance(value, str):
            raise MalformedError("a text in it is too long")
        return value

    def _peek(self, at: int) -> bytes:
        return self._data[at : at + 1]

    def _expect(self, at: int, character: bytes) -> None:
        if self._peek(at) != character:
            raise MalformedError("it is not JSON of the kind that XGBoost writes")

    def _past_space(self, at: int) -> int:
        found = _SPACE.match(self._data, at)
        return found.end() if found else at

    def _past_string(self, at: int) -> int:
        found = _STRING.match(self._data, at)
        if found is None:
            raise MalformedError("a text in it has no end")
        return found.end()

    def _past_value(self, at: int) -> int:
        start = self._peek(at)
        if start == b'"':
            return self._past_string(at)
        if start in {b"{", b"["}:
            return self._past_brackets(at)
        found = _ATOM.match(self._data, at)
        if found is None:
            raise MalformedError("it is not JSON")
        return found.end()

    def _past_brackets(self, at: int) -> int:
        depth = 0
        while found := _BRACKET_OR_QUOTE.search(self._data, at):
            at = found.end()
            match found[0]:
                case b'"':
                    at = self._past_string(found.start())
                case b"{" | b"[":
                    depth += 1
                case _:
                    depth -= 1
            if depth == 0:
                return at
        raise MalformedError("it ends too early")
