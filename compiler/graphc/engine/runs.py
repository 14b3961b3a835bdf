"""Long lists of plain values in a JSON text, kept as text and worked on piece by piece.

Almost all of a large message is one list of numbers. Read at once it holds the interpreter, and so the event loop, for
as long as it takes, be it in a thread or not, and as values it takes ten times its bytes.
"""

import itertools
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

from graphc.engine import fast_json
from graphc.source.located import Plain

LONG: Final = 64 * 1024
"""Lists of fewer bytes are read with what is around them."""

_PIECE: Final = 64 * 1024
_WINDOW: Final = 256 * 1024
_MOST_LISTS: Final = 10_000
_OPEN: Final = ord("{")
_VALUES: Final = re.compile(rb"[-+.0-9eE, \t\r\ntrufalsn\[\]]*")
_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TEXTS: Final = re.compile(rb"(?:[-+.0-9eE, \t\r\ntrufalsn]++|" + _TEXT + rb")*+", re.DOTALL)
_ITEMS: Final = re.compile(rb'(?:[^",]*+(?:' + _TEXT + rb')?[^",]*+,)*+', re.DOTALL)
_OBJECTS: Final = re.compile(rb"[{]|" + _TEXT, re.DOTALL)


class Run:
    """A list's values as JSON text, without the brackets around them."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts

    @property
    def is_flat(self) -> bool:
        """Whether no list is within it."""
        return not any(b"[" in text for text in self._texts)

    def pieces(self) -> Iterator[bytes]:
        """Yield the values in lists of JSON, each short; of lists within lists in one."""
        if not self.is_flat:
            yield b"[" + b",".join(self._texts) + b"]"
            return
        for text in self._texts:
            at = 0
            while len(text) - at > _PIECE and (end := self._end_of_item(text, at)) >= 0:
                yield b"[" + text[at:end] + b"]"
                at = end + 1
            yield b"[" + text[at:] + b"]"

    def _end_of_item(self, text: bytes, at: int) -> int:
        """Return where a comma stands between two values, a piece further on; -1 where there is none."""
        return text.find(b",", at + _PIECE)

    def lists(self) -> Iterator[list[Plain]]:
        """Yield the values, with integers exact, list by list; raises ValueError."""
        for piece in self.pieces():
            values = fast_json.read(piece)
            assert isinstance(values, list)
            yield values

    def map(self, change: Callable[[bytes], bytes]) -> "Run":
        """Return the run with each of its lists changed, which stay lists of JSON."""
        return Run([change(piece)[1:-1] for piece in self.pieces()])

    def parts(self) -> Iterator[bytes]:
        """Yield the text between the brackets, to be joined to what is around it at once."""
        for index, text in enumerate(self._texts):
            if index:
                yield b","
            yield text

    def text(self) -> bytes:
        """Return the whole list."""
        return b"[" + b",".join(self._texts) + b"]"


class TextRun(Run):
    """A flat list in which texts are, where a comma may be within one."""

    @property
    def is_flat(self) -> bool:
        """Whether no list is within it."""
        return True

    def _end_of_item(self, text: bytes, at: int) -> int:
        size = _PIECE
        while at + size < len(text):
            found = _ITEMS.match(text, at, at + size)
            if found and found.end() > at:
                return found.end() - 1
            size *= 4
        return -1


def as_run(value: object) -> Run | None:
    """Return a value that is a run."""
    return value if isinstance(value, Run) else None


def as_value(run: Run) -> Plain:
    """Return a run in the place of the list that it is."""
    return cast("Plain", run)


class TooManyError(ValueError):
    """A text holds more objects than it may."""


def read(data: bytes, most_objects: int | None = None) -> Plain:
    """Read a text as fast_json does, with its long lists as runs, whose values are not looked at; raises ValueError.

    Of objects there may be so many, which is found out before they are made.
    """
    if len(data) < LONG:
        return fast_json.read(data)
    found = _cut(data)
    if not found:
        return _read_rest(data, most_objects)
    # In place of each long list stands a list of one number that nothing else holds.
    marks = {secrets.randbits(62): run for _, _, run in found}
    parts: list[bytes] = []
    at = 0
    for (start, end, _), mark in zip(found, marks, strict=True):
        parts += [data[at:start], b"[%d]" % mark]
        at = end
    left = dict(marks)
    value = _put_back(_read_rest(b"".join([*parts, data[at:]]), most_objects), left)
    # What was within a text, and so was no list, is found nowhere.
    return fast_json.read(data) if left else value


def _read_rest(data: bytes, most_objects: int | None) -> Plain:
    if most_objects is not None and data.count(b"{") > most_objects:
        objects = (each for each in _OBJECTS.finditer(data) if data[each.start()] == _OPEN)
        if next(itertools.islice(objects, most_objects, None), None):
            raise TooManyError
    return fast_json.read(data)


def write(value: Plain, dump: Callable[[Plain, Callable[[object], object]], bytes]) -> bytes:
    """Write what may hold runs: `dump` writes it and has runs replaced by the function that it is given."""
    marks: dict[int, Run] = {}

    def replace(run: object) -> object:
        if not isinstance(run, Run):
            raise TypeError
        mark = secrets.randbits(62)
        marks[mark] = run
        return [mark]

    text = dump(value, replace)
    if not marks:
        return text
    parts: list[bytes] = []
    at = 0
    for mark, run in marks.items():
        token = b"[%d]" % mark
        start = text.index(token, at)
        parts += [text[at : start + 1], *run.parts()]
        at = start + len(token) - 1
    return b"".join([*parts, text[at:]])


def _cut(data: bytes) -> list[tuple[int, int, Run]]:
    """Find the long lists; raises ValueError where one has no end."""
    found: list[tuple[int, int, Run]] = []
    at = 0
    for _ in range(_MOST_LISTS):
        start = data.find(b"[", at)
        if start < 0:
            break
        at = _end_of(_VALUES, data, start + 1)
        if at - start >= LONG:
            at = _cut_numbers(data, start, at, found)
        elif data[at : at + 1] == b'"':
            at = _cut_texts(data, start, at, found)
    return found


def _cut_numbers(data: bytes, start: int, at: int, found: list[tuple[int, int, Run]]) -> int:
    end = data.rfind(b"]", start, at) + 1
    if end - start >= LONG and data.count(b"[", start, end) == data.count(b"]", start, end):
        found.append((start, end, Run([data[start + 1 : end - 1]])))
        return end
    if at == len(data):
        raise ValueError("a list has no end")
    return at


def _cut_texts(data: bytes, start: int, at: int, found: list[tuple[int, int, Run]]) -> int:
    end = _end_of(_TEXTS, data, start + 1)
    if end - start < LONG:
        return at
    if data[end : end + 1] == b"]":
        found.append((start, end + 1, TextRun([data[start + 1 : end]])))
        return end + 1
    return end


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    while True:
        found = pattern.match(data, at, at + _WINDOW)
        end = found.end() if found else at
        if end == at or end == len(data):
            return end
        at = end


def _put_back(value: Plain, left: dict[int, Run]) -> Plain:
    if isinstance(value, dict):
        return {key: _put_back(each, left) for key, each in value.items()}
    if not isinstance(value, list) or not value:
        return value
    first = value[0]
    if len(value) == 1 and isinstance(first, int) and first in left:
        return as_value(left.pop(first))
    return [_put_back(each, left) for each in value] if isinstance(first, dict | list) else value


def chunks(values: Sequence[Plain], size: int = 8192) -> Iterator[Sequence[Plain]]:
    """Yield a long sequence in short ones."""
    for start in itertools.count(0, size):
        part = values[start : start + size]
        if not part:
            return
        yield part
