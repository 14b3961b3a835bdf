"""Walks the fields of a protobuf message in a file by seeking, so that what is not wanted is never read."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from graphc.artefacts.source import Budget, MalformedError, Source
from graphc.records import record

_VARINT: Final = 0
_FIXED: Final = {1: 8, 5: 4}
_DELIMITED: Final = 2
_MAX_TEXT: Final = 1 << 16


class Field(NamedTuple):
    """A field: its number and, by its wire type, a value or where its bytes lie."""

    number: int
    value: int
    begin: int
    end: int


@record
class Wire:
    """A message's bytes; every field that is passed costs a step."""

    source: Source
    budget: Budget

    def fields(self, begin: int, end: int) -> Iterator[Field]:
        """Yield the fields of the message that lies between two positions; raises MalformedError."""
        while begin < end:
            self.budget.spend()
            self.source.seek(begin)
            field = self._field(end)
            begin = field.end
            yield field
        if begin != end:
            raise MalformedError("a message ends within a field")

    def text(self, field: Field) -> str:
        """Return a field's text; raises MalformedError."""
        size = field.end - field.begin
        if size > _MAX_TEXT:
            raise MalformedError("a name in it is too long")
        self.source.seek(field.begin)
        try:
            return self.source.read(size).decode()
        except UnicodeDecodeError as error:
            raise MalformedError("a name in it is not text") from error

    def _field(self, end: int) -> Field:
        key = self._varint()
        number, kind = key >> 3, key & 7
        if number == 0:
            raise MalformedError("a field has no number")
        if kind == _VARINT:
            value = self._varint()
            return Field(number, value, (at := self.source.tell()), at)
        if kind != _DELIMITED and kind not in _FIXED:
            raise MalformedError("a field is of an unknown wire type")
        size = self._varint() if kind == _DELIMITED else _FIXED[kind]
        begin = self.source.tell()
        if size > end - begin:
            raise MalformedError("it ends too early")
        return Field(number, 0, begin, begin + size)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.source.read(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF
        raise MalformedError("a number in it is too long")


def signed(value: int) -> int:
    """Return an unsigned varint as the int64 that it stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value
