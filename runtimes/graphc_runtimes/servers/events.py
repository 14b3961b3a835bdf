"""Server-sent events as servers send them, https://html.spec.whatwg.org/multipage/server-sent-events.html."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from graphc_runtimes.servers.dialect import AnswerError

_END: Final = re.compile(rb"\r\n|\n|\r")
_MARK: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data"


def read_events(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Yield the data of each event; raises AnswerError for one of more bytes than `most`.

    The pieces may part lines and letters anywhere. What is behind the last event is no event.
    """
    data: list[bytes] = []
    size = 0
    for line in _read_lines(pieces, most):
        if not line:
            if data:
                yield b"\n".join(data)
            data, size = [], 0
            continue
        # A line that begins with a colon is a comment: a field without a name.
        field, _, value = line.partition(b":")
        if field == _DATA:
            data.append(value.removeprefix(b" "))
            size += len(value) + 1
            if size > most:
                raise _too_long(most)


def _read_lines(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    kept: list[bytes] = []
    size, is_first, is_cut = 0, True, False
    for each in pieces:
        # The end of a line may be two bytes, and these in two pieces.
        piece = each[1:] if is_cut and each.startswith(b"\n") else each
        is_cut = piece.endswith(b"\r") or (is_cut and not each)
        first, *others = _END.split(piece)
        kept.append(first)
        size += len(first)
        if others:
            line = b"".join(kept)
            yield line.removeprefix(_MARK) if is_first else line
            is_first = False
            yield from others[:-1]
            kept, size = [others[-1]], len(others[-1])
        if size > most:
            raise _too_long(most)


def _too_long(most: int) -> AnswerError:
    return AnswerError(f"streamed an event of more than {most} bytes")
