"""Bytes read in order from an untrusted file: exact reads, cheap skips, firm limits."""

import io
from typing import Final

_SKIP_CHUNK: Final = 1 << 16


class MalformedError(Exception):
    """The bytes are not of the format; the message says why, in a user's words."""


class RefusedError(Exception):
    """The bytes may be of the format, but graphc does not read them; the message says why."""


class Budget:
    """A number of steps that a reader may take."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def spend(self, steps: int = 1) -> None:
        """Take some steps; raises RefusedError where none are left."""
        self._left -= steps
        if self._left < 0:
            raise RefusedError("it takes too long to read")


class Source:
    """A stream with exact reads; `size` is its length where that is known, which makes skips free."""

    def __init__(self, stream: io.BufferedReader, size: int | None = None) -> None:
        self._stream = stream
        self._size = size

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes; raises MalformedError at an early end."""
        data = self._stream.read(count)
        if len(data) != count:
            raise MalformedError("it ends too early")
        return data

    def read_line(self, limit: int) -> bytes | None:
        """Return a line without its end, consumed whole; None where it is longer than `limit`."""
        line = self._stream.readline(limit + 1)
        kept = line[:-1] if line.endswith(b"\n") else None
        while not line.endswith(b"\n"):
            if not line:
                raise MalformedError("it ends too early")
            line = self._stream.readline(_SKIP_CHUNK)
        return kept

    def skip(self, count: int) -> None:
        """Go forward by `count` bytes without keeping them; raises MalformedError at an early end."""
        if count < 0:
            raise MalformedError("it has a negative length")
        if self._size is None:
            self._read_away(count)
        elif count > self._size - self._stream.tell():
            raise MalformedError("it ends too early")
        else:
            self._stream.seek(count, io.SEEK_CUR)

    def tell(self) -> int:
        """Return the position; only where the size is known."""
        return self._stream.tell()

    def seek(self, position: int) -> None:
        """Go to a position that `tell` gave; only where the size is known."""
        self._stream.seek(position)

    def _read_away(self, count: int) -> None:
        while count:
            count -= len(self.read(min(count, _SKIP_CHUNK)))
