"""HTTP/1.1 as far as one client needs it: requests as bytes, and a reader of answers on kept connections."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

MAX_HEAD: Final = 64 * 1024
"""Beyond this a head is no HTTP."""

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

    def __init__(self) -> None:
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
        self._at = 0

    def feed(self, data: bytes) -> Response | None:
        """Take bytes; raises WireError where they are no HTTP."""
        self._buffer += data
        if not self._body and not self._read_head():
            return None
        if self._chunks is not None:
            return self._read_chunks()
        if self._length is None or len(self._buffer) - self._body < self._length:
            return None
        return self._finish(self._body + self._length, bytes(self._buffer[self._body :][: self._length]))

    def close(self) -> Response:
        """Take the end of the connection, which ends an answer of no stated length; else raises WireError."""
        if self._body and self._length is None and self._chunks is None:
            self._keeps = False
            return self._finish(len(self._buffer), bytes(self._buffer[self._body :]))
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

    def _take_head(self, head: bytes, end: int, *, is_old: bool) -> None:
        self._head, self._body = head, end + 4
        option = _OPTION.search(head)
        words = option[1].lower() if option else b""
        self._keeps = b"keep-alive" in words if is_old else b"close" not in words
        length, coding = _LENGTH.search(head), _CODING.search(head)
        if coding and coding[1].strip().lower() != b"identity":
            if coding[1].strip().lower() != b"chunked":
                raise WireError(f"the answer has transfer encoding {coding[1].decode('latin-1')}")
            self._chunks, self._at = [], self._body
        elif self._status in {204, 304}:
            self._length = 0
        elif length:
            self._length = int(length[1])

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
            if len(self._buffer) < found.end() + size + 2:
                return None
            self._chunks.append(bytes(self._buffer[found.end() : found.end() + size]))
            self._at = found.end() + size + 2

    def _read_trailer(self, start: int) -> Response | None:
        assert self._chunks is not None
        if self._buffer.startswith(b"\r\n", start):
            return self._finish(start + 2, b"".join(self._chunks))
        end = self._buffer.find(b"\r\n\r\n", start)
        return None if end < 0 else self._finish(end + 4, b"".join(self._chunks))

    def _finish(self, end: int, body: bytes) -> Response:
        if len(self._buffer) > end:
            raise WireError("bytes came after the answer")
        response = Response(self._status, self._head, body, self._keeps)
        self._clear()
        return response
