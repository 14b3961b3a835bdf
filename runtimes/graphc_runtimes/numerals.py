"""The JSON text of a tensor's numbers, straight into its array, with no Python object made for each.

A long text is read in pieces, so that besides the array no more memory is used than a piece takes. The numbers come
out as those of the usual reader do, bit for bit; what is out of the ordinary in a piece is left to it.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, cast

import numpy as np
import orjson
import simdjson
from graphc_components.datatypes import Array, to_numpy

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.lists import EXACT, convert, flatten
from graphc_runtimes.shapes import MOST_DIMS, count_elements, disagree
from graphc_runtimes.shown import show_shape

Text = bytes | memoryview

LEAST: Final = 16_384
"""Of smaller bodies the parser's own work is not worth it."""
_SHORT: Final = 512
"""Shorter lists are read as Python's."""
_PIECE: Final = 2**18
"""Of longer pieces others would wait too long; of shorter ones threads would take too many turns."""
_TOGETHER: Final = 2**17
"""So many numbers, 1 MiB of them, are brought into the tensor together."""
_NEAR: Final = 64
"""So near the end of a piece of numbers there is a comma."""
_FIRST: Final = 256
_GREATER: Final = 2.0
"""What is this much beyond the range of a datatype is not rounded into it."""
_KEPT: Final = 2**19
"""A parser keeps several times the memory of the longest text that it saw: for longer ones there is one each."""

_Kind = Literal["d", "i", "u"]
_KINDS: Final[Mapping[str, _Kind]] = {
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64"), "i"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32", "UINT64"), "u"),
    **dict.fromkeys(("FP32", "FP64"), "d"),
}
_READ_AS: Final = {"d": np.dtype(np.float64), "i": np.dtype(np.int64), "u": np.dtype(np.uint64)}
_EXACT: Final = {
    "FP32": (-EXACT, EXACT),
    **{
        datatype: (int(np.iinfo(dtype.name).min), int(np.iinfo(dtype.name).max))
        for datatype, kind in _KINDS.items()
        if kind != "d" and (dtype := to_numpy(datatype)) != _READ_AS[kind]
    },
}
"""Between these a narrower datatype takes each number with one rounding: a float64 holds no whole number beyond."""
_LOCAL: Final = threading.local()
_NESTED: Final = re.compile(rb"\[[ \t\r\n]*\[")
_BLANK: Final = b" \t\r\n"
_OTHERS: Final = bytes(set(range(256)) - set(b"[],"))
_NO_JSON: Final = "holds something that is not JSON"
_SPACES: Final = bytes.maketrans(b"[]", b"  ")


def load_json(text: Text) -> list[object]:
    """Return the list that a text is; raises ArrayError."""
    try:
        return cast("list[object]", orjson.loads(text))
    except orjson.JSONDecodeError:
        raise ArrayError(_NO_JSON) from None


def read_numbers(text: Text, datatype: str, shape: Sequence[int]) -> Array:
    """Return the tensor whose numbers a list has, or rows within rows; raises ArrayError."""
    count = count_elements(shape)
    if len(text) < _SHORT:
        data = flatten(load_json(text))
        if len(data) != count:
            raise disagree(len(data), shape)
        return convert(data, datatype).reshape(shape) if count else np.empty(shape, to_numpy(datatype))
    # Each takes a digit at least, and a comma or bracket.
    if len(text) <= 2 * count:
        raise ArrayError(f"has fewer elements than its shape {show_shape(shape)} says")
    return read_flat(_flat_text(text, count, shape), datatype, shape, count)


def read_flat(text: Text, datatype: str, shape: Sequence[int], count: int) -> Array:
    """Return the tensor whose numbers stand between commas, with no brackets; raises ArrayError."""
    found = np.empty(count, to_numpy(datatype))
    at = 0
    for part in _read_parts(text, datatype, count):
        if at + part.size > count:
            raise ArrayError(f"has more elements than its shape {show_shape(shape)} says")
        # Rounded on the way, to what the datatype holds.
        found[at : at + part.size] = part
        at += part.size
    if at != count:
        raise disagree(at, shape)
    return found.reshape(shape)


def _read_parts(text: Text, datatype: str, count: int) -> Iterator[Array]:
    """Read numbers, of which so many are expected, as arrays of a datatype or a wider one; raises ArrayError.

    Each array is there until the next is asked for.
    """
    kind = _KINDS.get(datatype)
    if kind is None or len(text) <= _PIECE:
        for piece in _pieces(text):
            found = None if kind is None else _parse(piece, kind)
            yield from _read_alone(piece, found, kind, datatype)
        return
    gathered = _Gathered(kind, datatype, min(count, _TOGETHER))
    for piece in _pieces(text):
        found = _parse(piece, kind)
        if found is None or not gathered.add(piece, found):
            yield from gathered.take()
            if found is None or not gathered.add(piece, found):
                yield from _read_alone(piece, found, kind, datatype)
        # Else it would be there until the next piece is read.
        found = None
    yield from gathered.take()


def _read_alone(
    piece: memoryview, found: memoryview | None, kind: _Kind | None, datatype: str
) -> Iterator[Array]:
    """Return the numbers of one piece: those that were found, or where none were, number by number."""
    if kind is None or found is None:
        yield _read_exactly(piece, datatype)
    else:
        yield from _narrow(np.frombuffer(found, _READ_AS[kind]), [piece], kind, datatype)


class _Gathered:
    """The numbers of some pieces, as wide as they were read.

    numpy lets other threads go on in each step of its own, and threads that read at once wait for each other after
    each: a few steps for many pieces cost less than a few for each piece.
    """

    def __init__(self, kind: _Kind, datatype: str, most: int) -> None:
        self._kind: Final[_Kind] = kind
        self._datatype = datatype
        # Memory of no size at all has no view.
        self._wide = np.empty(max(most, 1), _READ_AS[kind])
        self._memory = memoryview(cast("bytearray", self._wide)).cast("B")
        self._pieces: list[memoryview] = []
        self._at = 0

    def add(self, piece: memoryview, found: memoryview) -> bool:
        """Add a piece, and what was read of it; says whether there is room for it."""
        end = self._at + found.nbytes
        if end > self._memory.nbytes:
            return False
        self._memory[self._at : end] = found
        self._pieces.append(piece)
        self._at = end
        return True

    def take(self) -> Iterator[Array]:
        """Return the numbers, and begin again; raises ArrayError where one is out of range."""
        if self._pieces:
            wide = self._wide[: self._at // self._wide.itemsize]
            yield from _narrow(wide, self._pieces, self._kind, self._datatype)
            self._pieces.clear()
            self._at = 0


def _narrow(wide: Array, pieces: Sequence[memoryview], kind: _Kind, datatype: str) -> Iterator[Array]:
    """Return what was read of some pieces where one rounding is enough, else read them again, number by number."""
    if _fits(wide, kind, datatype):
        yield wide
    else:
        for piece in pieces:
            yield _read_exactly(piece, datatype)


def _flat_text(text: Text, count: int, shape: Sequence[int]) -> Text:
    if _NESTED.match(text) is None:
        return memoryview(text)[1:-1]
    whole = bytes(text)
    if b'"' in whole:
        raise ArrayError("holds a text where a number should be")
    size = _count_rows(whole)
    if size != count:
        raise disagree(size, shape)
    return whole.translate(_SPACES) if count else b""


def _count_rows(text: bytes) -> int:
    """Return how many elements rows within rows have; raises ArrayError where they differ in length."""
    marks = text.translate(None, _OTHERS)
    depth = len(marks) - len(marks.lstrip(b"["))
    if depth > MOST_DIMS:
        raise ArrayError(f"has more than {MOST_DIMS} lists within lists")
    end = marks.find(b"]")
    is_empty = not text[: text.find(b"]")].strip(b"[" + _BLANK)
    size = 0 if is_empty else end - depth + 1
    unit = marks[depth - 1 : end + 1]
    if is_empty and text.translate(None, _BLANK) != marks:
        raise ArrayError("has rows that differ in length")
    for level in range(depth - 2, -1, -1):
        # The first group of this level ends where so many lists end at once.
        ends = depth - level
        length = marks.find(b"]" * ends) + ends - level
        rows = (length - 1) // (len(unit) + 1)
        size, unit = size * rows, b"[%b%b]" % ((unit + b",") * (rows - 1), unit)
    if unit != marks:
        raise ArrayError("has rows that differ in length")
    return size


def _pieces(text: Text) -> Iterator[memoryview]:
    """Part a text at commas; raises ArrayError where a part is blank."""
    view = memoryview(text)
    at, end = 0, len(view)
    while at < end:
        stop = _find_stop(view, at)
        if not _is_blank(view[at:stop]):
            yield view[at:stop]
        elif at or stop < end:
            raise ArrayError(_NO_JSON)
        at = stop + 1
    if at == end and end:
        raise ArrayError(_NO_JSON)


def _find_stop(view: memoryview, at: int) -> int:
    """Return where a piece of numbers that begins somewhere ends: at a comma, or with the text."""
    size = _PIECE
    while at + size < len(view):
        comma = _last_comma(view, at, at + size)
        if comma >= 0:
            return comma
        size *= 2
    return len(view)


def _is_blank(view: memoryview) -> bool:
    return not (bytes(view[:_NEAR]).strip(_BLANK) or bytes(view).strip(_BLANK))


def _last_comma(text: Text, start: int, end: int) -> int:
    """Return where the last comma of a part is, -1 where there is none; all of it is copied only if it has to be."""
    for begin in (max(end - _NEAR, start), start):
        found = bytes(text[begin:end]).rfind(b",")
        if found >= 0:
            return begin + found
    return -1


def _read_exactly(piece: memoryview, datatype: str) -> Array:
    """Return the numbers of a piece by way of Python's; raises ArrayError."""
    text = _close(piece)
    _refuse_lists(text)
    _refuse_others(text)
    return convert(load_json(text), datatype)


def _close(piece: memoryview) -> bytes:
    return b"".join((b"[", piece, b"]"))


def _refuse_lists(text: bytes) -> None:
    if text.find(b"[", 1) > 0:
        raise ArrayError("has rows that differ in length")


def _refuse_others(piece: bytes) -> None:
    for mark, what in ((b'"', "a text"), (b"{", "an object")):
        if mark in piece:
            raise ArrayError(f"holds {what} where a number should be")


def _parse(piece: memoryview, kind: _Kind) -> memoryview | None:
    """Return the numbers of a piece, wide; None where one is out of the ordinary. Raises ArrayError."""
    text = _close(piece)
    _refuse_lists(text)
    # Texts are mostly there from the first on, and parsing them takes longer than numbers.
    _refuse_others(text[:_FIRST])
    parser = _parser(len(text))
    try:
        document = parser.parse(text)
        if not isinstance(document, simdjson.Array) or not len(document):
            return None
        return memoryview(document.as_buffer(of_type=kind))
    except (ValueError, TypeError, RuntimeError):
        return None
    finally:
        # What was parsed has to be gone before the parser is used again.
        document = None


def _parser(size: int) -> simdjson.Parser:
    if size > _KEPT:
        return simdjson.Parser()
    found = cast("simdjson.Parser | None", getattr(_LOCAL, "parser", None))
    if found is None:
        found = _LOCAL.parser = simdjson.Parser()
    return found


def _fits(wide: Array, kind: _Kind, datatype: str) -> bool:
    """Say whether a datatype takes numbers with one rounding; raises ArrayError where one is out of range."""
    if datatype not in _EXACT:
        return True
    exact, least, most = _EXACT[datatype], wide.min(), wide.max()
    if exact[0] <= least and most <= exact[1]:
        return True
    dtype = to_numpy(datatype)
    bounds = np.finfo(dtype.name) if kind == "d" else np.iinfo(dtype.name)
    if not (_GREATER * float(bounds.min) <= least and most <= _GREATER * float(bounds.max)):
        raise ArrayError(f"holds a number that is out of range for {datatype}")
    return False
