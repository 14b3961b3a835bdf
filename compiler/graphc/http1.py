"""HTTP/1.1 as far as one client needs it: requests as bytes, and a reader of answers on kept connections."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

MAX_HEAD: Final = 64 * 1024
"""Beyond this a head is no HTTP."""

_MOST_INTERIM: Final = 32
"""Interim answers that may come before the real one."""
_FEW_CHUNKS: Final = 1024
_SMALL_CHUNK: Final = 32
"""Beyond a few chunks, they must hold this many bytes each: smaller ones cost more to take apart than they carry."""

_TAKEN_APART: Final = 1 << 20
"""Of an answer in chunks no more than this is held that is taken apart already."""
_DIGITS: Final = 15

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: |\r|\Z)")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?=\r\n|\Z)", re.IGNORECASE)
_CODING: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r]*)", re.IGNORECASE)
_OPTION: Final = re.compile(rb"\r\nconnection:[ \t]*([^\r]*)", re.IGNORECASE)
_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


class WireError(Exception):
    """What came is not an answer in HTTP/1.1, or is not whole."""


class Response(NamedTuple):
    """An answer: its head as it came, its body, and whether the connection may be used again."""

    status: int
    head: bytes
    body: bytes
    keeps: bool

    def header(self, name: str) -> str | None:
        """Return the value of a header."""
        found = re.search(rb"\r\n" + name.encode() + rb":[ \t]*([^\r]*)", self.head, re.IGNORECASE)
        return None if found is None else found[1].strip().decode("latin-1")


def write_request(method: str, path: str, headers: Mapping[str, str] | Sequence[tuple[str, str]]) -> bytes:
    """Return the head of a request; the caller's headers are taken as they are, but must be lines of their own."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs), "", ""]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise WireError("a header is not one line")
    return text.encode()


class ResponseReader:
    """Takes the bytes of a connection as they come, and returns each answer once it is whole."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = sys.maxsize if limit is None else limit
        """The most bytes that an answer's body may have."""
        self._clear()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an answer has come."""
        return not self._buffer

    def _clear(self) -> None:
        self._buffer = bytearray()
        self._head = b""
        self._status = 0
        self._body = 0
        """Where the body begins; 0 while the head is not whole."""
        self._length: int | None = None
        self._keeps = True
        self._chunks: list[bytes] | None = None
        self._at = self._held = self._interim = 0

    def feed(self, data: bytes) -> Response | None:
        """Take bytes; raises WireError where they are no HTTP."""
        self._buffer += data
        if not self._body and not self._read_head():
            return None
        if self._chunks is not None:
            return self._read_chunks()
        if self._length is None:
            self._check_size(len(self._buffer) - self._body)
            return None
        if len(self._buffer) - self._body < self._length:
            return None
        return self._finish(self._body + self._length, self._part(self._body, self._body + self._length))

    def close(self) -> Response:
        """Take the end of the connection, which ends an answer of no stated length; else raises WireError."""
        if self._body and self._length is None and self._chunks is None:
            self._keeps = False
            return self._finish(len(self._buffer), self._part(self._body, len(self._buffer)))
        raise WireError("the connection was closed within an answer" if self._buffer else "no answer")

    def _read_head(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD or (
                    self._buffer and not b"HTTP/".startswith(self._buffer[:5])
                ):
                    raise WireError("the answer is not HTTP/1.1")
                return False
            head = bytes(self._buffer[:end])
            found = _STATUS.match(head)
            if found is None:
                raise WireError("the answer is not HTTP/1.1")
            self._status = int(found[2])
            if self._status >= 200:
                self._take_head(head, end, is_old=found[1] == b"0")
                return True
            # An interim answer has no body, and the real one follows it.
            del self._buffer[: end + 4]
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise WireError("the answer does not come to an end of what comes before it")

    def _take_head(self, head: bytes, end: int, *, is_old: bool) -> None:
        self._head, self._body = head, end + 4
        option = _OPTION.search(head)
        words = option[1].lower() if option else b""
        self._keeps = b"keep-alive" in words if is_old else b"close" not in words
        lengths, coding = set(_LENGTH.findall(head)), _CODING.search(head)
        if len(lengths) > 1:
            raise WireError("the answer has several lengths")
        if coding and coding[1].strip().lower() != b"identity":
            if coding[1].strip().lower() != b"chunked":
                raise WireError(f"the answer has transfer encoding {coding[1][:100].decode('latin-1')}")
            self._chunks, self._at = [], self._body
            # Of two ways to say where an answer ends, the other end may mean the other one.
            self._keeps = self._keeps and not lengths
        elif self._status in {204, 304}:
            self._length = 0
        elif lengths:
            self._length = _read_length(lengths.pop())
            self._check_size(self._length)

    def _read_chunks(self) -> Response | None:
        assert self._chunks is not None
        while True:
            found = _SIZE.match(self._buffer, self._at)
            if found is None:
                if len(self._buffer) - self._at > MAX_HEAD or self._buffer.find(b"\n", self._at) >= 0:
                    raise WireError("the answer has a chunk without a size")
                return None
            size = int(found[1], 16)
            if not size:
                return self._read_trailer(found.end())
            self._check_size(self._held + size)
            end = found.end() + size
            if len(self._buffer) < end + 2:
                return None
            if not self._buffer.startswith(b"\r\n", end):
                raise WireError("the answer has a chunk that is longer than it says")
            self._take_chunk(found.end(), end)

    def _take_chunk(self, start: int, end: int) -> None:
        assert self._chunks is not None
        self._chunks.append(self._part(start, end))
        self._held += end - start
        self._at = end + 2
        if len(self._chunks) > _FEW_CHUNKS + self._held // _SMALL_CHUNK:
            raise WireError("the answer has too many small chunks")
        if self._at > _TAKEN_APART:
            del self._buffer[: self._at]
            self._at = 0

    def _read_trailer(self, start: int) -> Response | None:
        assert self._chunks is not None
        if self._buffer.startswith(b"\r\n", start):
            return self._finish(start + 2, b"".join(self._chunks))
        end = self._buffer.find(b"\r\n\r\n", start)
        if end < 0 and len(self._buffer) - start > MAX_HEAD:
            raise WireError("the answer has no end")
        return None if end < 0 else self._finish(end + 4, b"".join(self._chunks))

    def _finish(self, end: int, body: bytes) -> Response:
        # Bytes after an answer belong to no request, and neither do later ones on this connection.
        keeps = self._keeps and len(self._buffer) == end
        response = Response(self._status, self._head, body, keeps)
        self._clear()
        return response

    def _part(self, start: int, end: int) -> bytes:
        with memoryview(self._buffer) as view:
            return bytes(view[start:end])

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise WireError(f"the answer is larger than {self._limit} bytes")


def _read_length(text: bytes) -> int:
    if len(text) > _DIGITS:
        raise WireError("the answer has a length that cannot be")
    return int(text)
