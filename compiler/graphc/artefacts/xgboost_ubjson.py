"""Finds members of a UBJSON document in a file by seeking past what lies between them (https://ubjson.org)."""

import struct
from collections.abc import Iterator
from typing import Final

from graphc.artefacts.source import Budget, MalformedError, Source

_MAX_TEXT: Final = 1 << 16
_MAX_NESTING: Final = 64
_MAX_VALUES: Final = 3_000_000

_INTEGERS: Final = {
    b"i": struct.Struct(">b"),
    b"U": struct.Struct(">B"),
    b"I": struct.Struct(">h"),
    b"l": struct.Struct(">i"),
    b"L": struct.Struct(">q"),
}
_SIZES: Final = {
    **{marker: layout.size for marker, layout in _INTEGERS.items()},
    b"Z": 0,
    b"N": 0,
    b"T": 0,
    b"F": 0,
    b"C": 1,
    b"d": 4,
    b"D": 8,
}


class UbjsonDocument:
    """A UBJSON document; a value is known by the offset of its marker."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._budget = Budget(_MAX_VALUES)

    @property
    def root(self) -> int:
        """The offset of the outermost value."""
        return 0

    def members(self, at: int) -> Iterator[tuple[str, int]]:
        """Yield the keys of an object with the offsets of their values; raises MalformedError."""
        self._source.seek(at)
        if self._marker() != b"{":
            raise MalformedError("it is not UBJSON of the kind that XGBoost writes")
        while (marker := self._marker()) != b"}":
            key = self._text(self._length(marker))
            value = self._source.tell()
            yield key, value
            self._source.seek(value)
            self._skip_value(self._marker(), 0)

    def text(self, at: int) -> str:
        """Return the string at an offset; raises MalformedError."""
        self._source.seek(at)
        if self._marker() != b"S":
            raise MalformedError("a value in it is not text")
        return self._text(self._length(self._marker()))

    def _marker(self) -> bytes:
        return self._source.read(1)

    def _length(self, marker: bytes) -> int:
        layout = _INTEGERS.get(marker)
        if layout is None:
            raise MalformedError("a length in it is not a number")
        length = int(layout.unpack(self._source.read(layout.size))[0])
        if length < 0:
            raise MalformedError("it has a negative length")
        return length

    def _text(self, length: int) -> str:
        if length > _MAX_TEXT:
            raise MalformedError("a text in it is too long")
        try:
            return self._source.read(length).decode()
        except UnicodeDecodeError as error:
            raise MalformedError("a text in it is not UTF-8") from error

    def _skip_value(self, marker: bytes, depth: int) -> None:
        self._budget.spend()
        if depth > _MAX_NESTING:
            raise MalformedError("it is nested too deeply")
        if marker in _SIZES:
            self._source.skip(_SIZES[marker])
        elif marker in {b"S", b"H"}:
            self._source.skip(self._length(self._marker()))
        elif marker == b"[":
            self._skip_array(depth)
        elif marker == b"{":
            self._skip_object(depth)
        else:
            raise MalformedError("a value in it has an unknown marker")

    def _skip_array(self, depth: int) -> None:
        marker = self._marker()
        if marker == b"$":
            self._skip_typed_array(depth)
        elif marker == b"#":
            for _ in range(self._length(self._marker())):
                self._skip_value(self._marker(), depth + 1)
        else:
            while marker != b"]":
                self._skip_value(marker, depth + 1)
                marker = self._marker()

    def _skip_typed_array(self, depth: int) -> None:
        kind, hash_sign = self._marker(), self._marker()
        if hash_sign != b"#":
            raise MalformedError("a typed array in it has no length")
        length = self._length(self._marker())
        if kind in _SIZES:
            self._source.skip(length * _SIZES[kind])
            return
        for _ in range(length):
            self._skip_value(kind, depth + 1)

    def _skip_object(self, depth: int) -> None:
        while (marker := self._marker()) != b"}":
            self._source.skip(self._length(marker))
            self._skip_value(self._marker(), depth + 1)
