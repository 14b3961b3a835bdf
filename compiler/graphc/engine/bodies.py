"""The bodies of requests in HTTP/1.1: of a stated length, or in chunks, as their bytes arrive."""

import re
from typing import Final, Protocol

from graphc.engine.heads import HeadError

_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]{0,256})?\r\n")
_LONGEST_LINE: Final = 512
_LONGEST_TRAILER: Final = 8192
_END: Final = b"\r\n"
_FEW: Final = 1024
_SMALL: Final = 32
"""Beyond a few chunks, a body of smaller ones than this costs more to take apart than to answer."""


class BodyReader(Protocol):
    """Collects a body."""

    @property
    def size(self) -> int:
        """The bytes that are held."""
        ...

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; return those that belong to what follows once the body is whole. Raises HeadError."""
        ...

    def take(self) -> bytes:
        """Return the whole body, once."""
        ...


class SizedBody:
    """A body whose length the head states."""

    def __init__(self, length: int) -> None:
        self._parts: list[bytes] = []
        self._length = length
        self.size = 0

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes, see BodyReader."""
        missing = self._length - self.size
        part = data if len(data) <= missing else data[:missing]
        self._parts.append(part)
        self.size += len(part)
        return None if self.size < self._length else data[missing:]

    def take(self) -> bytes:
        """Return the whole body, once."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)


class ChunkedBody:
    """A body in chunks; what is held between two of them is short."""

    def __init__(self, limit: int) -> None:
        self._body, self._rest = bytearray(), b""
        self._limit = limit
        self._missing = 0
        """Bytes that the present chunk lacks."""
        self._is_in_trailer = False
        self._count = 0

    @property
    def size(self) -> int:
        """The bytes that are held."""
        return len(self._body) + len(self._rest)

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes, see BodyReader."""
        rest, at = self._rest + data if self._rest else data, 0
        while not self._is_in_trailer:
            if self._missing:
                taken = min(self._missing, len(rest) - at)
                self._body += rest[at : at + taken]
                self._missing -= taken
                at += taken
                if self._missing:
                    self._rest = b""
                    return None
            following = self._read_size(rest, at)
            if following is None:
                self._rest = rest[at:]
                return None
            at = following
        return self._read_trailer(rest[at:])

    def take(self) -> bytes:
        """Return the whole body, once."""
        body, self._body = bytes(self._body), bytearray()
        return body

    def _read_size(self, rest: bytes, at: int) -> int | None:
        """Read the line before a chunk, and the end of the chunk before it; return where the chunk begins."""
        if self._body:
            end = rest[at : at + 2]
            if not _END.startswith(end):
                raise HeadError(400, "a chunk of the body is longer than it says")
            if len(end) < 2:
                return None
            at += 2
        found = _SIZE.match(rest, at)
        if found is None:
            if len(rest) - at > _LONGEST_LINE or b"\n" in rest[at:]:
                raise HeadError(400, "a chunk of the body has no size")
            # The line is read again from the end of the chunk before it.
            return None
        self._missing = int(found[1], 16)
        self._count += 1
        if self._count > _FEW + len(self._body) // _SMALL:
            raise HeadError(400, "the chunks of the body are too small")
        if len(self._body) + self._missing > self._limit:
            raise HeadError(413, f"the body is larger than {self._limit} bytes")
        self._is_in_trailer = not self._missing
        return found.end()

    def _read_trailer(self, rest: bytes) -> bytes | None:
        if rest.startswith(_END):
            return rest[2:]
        end = rest.find(b"\r\n\r\n")
        if end < 0 and len(rest) > _LONGEST_TRAILER:
            raise HeadError(431, "what follows the body's chunks is too long")
        if end < 0:
            self._rest = rest
            return None
        return rest[end + 4 :]
