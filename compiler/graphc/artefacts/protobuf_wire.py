"""Walks the fields of a protobuf message in a file by seeking, so that what is not wanted is never read."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from graphc.artefacts.source import Budget, MalformedError, Source
from graphc.records import record

_VARINT: Final = 0
_FIXED: Final = {1: 8, 5: 4}
_DELIMITED: Final = 2
_MAX_TEXT: Final = 1 << 16
_CHUNK: Final = 1 << 16
_MAX_NUMBER: Final = 11
"""Bytes of a number's field."""
_NOTHING: Final[frozenset[int]] = frozenset()


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

    def fields(self, begin: int, end: int, runs: frozenset[int] = _NOTHING) -> Iterator[Field]:
        """Yield the fields of the message that lies between two positions; raises MalformedError.

        Of a run of numbers, whose fields are those of `runs`, only the first is yielded.
        """
        while begin < end:
            self.budget.spend()
            self.source.seek(begin)
            field = self._field(end)
            begin = field.end
            yield field
            if field.number in runs and begin < end:
                begin = self._past_run(field.number, begin, end)
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

    def loose_text(self, field: Field) -> str:
        """Return a field's bytes as text, with marks for what is none; raises MalformedError at an early end."""
        self.source.seek(field.begin)
        return self.source.read(field.end - field.begin).decode(errors="replace")

    def numbers(self, field: Field, most: int) -> list[int]:
        """Return the number of a field, or those that are packed in it; raises MalformedError where there are more."""
        if field.begin == field.end:
            return [field.value]
        self.source.seek(field.begin)
        found: list[int] = []
        while self.source.tell() < field.end:
            found.append(self._varint())
            if len(found) > most:
                raise MalformedError("there are too many numbers in a field")
        return found

    def _past_run(self, number: int, begin: int, end: int) -> int:
        """Return where fields of one number end that follow each other, each of a number of fixed or varying size."""
        pattern = _run_of(number)
        while begin < end:
            self.budget.spend()
            self.source.seek(begin)
            size = min(_CHUNK, end - begin)
            found = pattern.match(self.source.read(size))
            passed = found.end() if found else 0
            begin += passed
            # A field may have begun at the end of what was read.
            if not passed or passed < size - _MAX_NUMBER:
                break
        return begin

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


def only(wire: Wire, message: Field, number: int) -> Iterator[Field]:
    """Yield the fields of a message that have a number; raises MalformedError."""
    return (each for each in wire.fields(message.begin, message.end) if each.number == number)


def _run_of(number: int) -> re.Pattern[bytes]:
    """Return what matches fields of a number below 16, each a float or an integer, as long as they go on."""
    varint, fixed = (re.escape(bytes([number << 3 | kind])) for kind in (0, 5))
    return re.compile(rb"(?:%b[\x80-\xff]{0,9}[\x00-\x7f]|%b.{4})*+" % (varint, fixed), re.DOTALL)


def signed(value: int) -> int:
    """Return an unsigned varint as the int64 that it stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value
