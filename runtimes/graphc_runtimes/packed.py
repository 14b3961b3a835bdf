"""Long lists of numbers, cut out of a body before the rest of it is read.

What is left of the body is short, and is read as any other; a list becomes an array only when the tensor that it
belongs to has been found sound.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import orjson

from graphc_runtimes.numerals import Text

_WINDOW: Final = 65_536
_SHORT: Final = 1024
"""Lists of fewer bytes are left where they are."""
_MOST_CUTS: Final = 64
_KEY: Final = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\[')
_MARK: Final = b'["%b.' % secrets.token_hex(16).encode()
"""What stands for a list that was cut out; no client knows it."""
_MARKED: Final = re.compile(re.escape(_MARK) + rb'(\d+)"\]')


@dataclass(frozen=True, slots=True)
class Cut:
    """A body without its long lists of numbers, and those."""

    text: bytes
    lists: Sequence[memoryview]

    def find(self, data: Text) -> memoryview:
        """Return a tensor's data: what stands in the text, or what was cut out of it."""
        marked = _MARKED.fullmatch(data)
        return memoryview(data) if marked is None else self.lists[int(marked[1])]

    def is_used(self, datas: Iterable[Text]) -> bool:
        """Say whether each list is the data of a tensor."""
        return sum(_MARKED.fullmatch(data) is not None for data in datas) == len(self.lists)


def cut_lists(text: Text) -> Cut | None:
    """Return a body without its long lists of numbers; None where it has none."""
    view, parts, lists = memoryview(text), list[Text](), list[memoryview]()
    at = last = 0
    for _ in range(_MOST_CUTS):
        key = _KEY.search(text, at)
        if key is None:
            break
        at, start = key.end(), key.end() - 1
        end = _find_end(view, at)
        # A backslash says that the key only ends so.
        if end is None or end - start < _SHORT or bytes(view[key.start() - 1 : key.start()]) == b"\\":
            continue
        parts += (view[last:start], b'%b%d"]' % (_MARK, len(lists)))
        lists.append(view[start:end])
        last = at = end
    return Cut(b"".join([*parts, view[last:]]), lists) if lists else None


def _find_end(view: memoryview, at: int) -> int | None:
    """Return where a flat list of numbers ends; None where it is another list."""
    while at < len(view):
        window = bytes(view[at : at + _WINDOW])
        end = window.find(b"]")
        stop = len(window) if end < 0 else end
        if window.find(b'"', 0, stop) >= 0 or window.find(b"[", 0, stop) >= 0:
            return None
        if end >= 0:
            return at + end + 1
        at += _WINDOW
    return None


@dataclass(frozen=True, slots=True)
class Packed:
    """A request whose tensors have no `data`: the text of each stands apart, in the order of the inputs."""

    fields: dict[str, object]
    texts: list[memoryview]


def read_packed(text: Text) -> Packed | None:
    """Read a V2 request whose tensors are long flat lists of numbers, but for the numbers; None for any other."""
    cut = cut_lists(text)
    if cut is None:
        return None
    try:
        fields: object = orjson.loads(cut.text)
        if not isinstance(fields, dict):
            return None
        message = cast("dict[str, object]", fields)
        texts = [_take(cut, tensor) for tensor in cast("list[dict[str, object]]", message["inputs"])]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
        return None
    return Packed(message, texts) if len(texts) == len(cut.lists) else None


def _take(cut: Cut, tensor: dict[str, object]) -> memoryview:
    """Take the text of the numbers out of a tensor; raises what says that it is none of this kind."""
    marked = _MARKED.fullmatch(orjson.dumps(tensor.pop("data")))
    if marked is None:
        raise ValueError
    return cut.lists[int(marked[1])]
