"""The heads of requests in HTTP/1.1, read strictly: what two servers could read differently is refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

Pairs = tuple[tuple[str, str], ...]

MAX_HEADERS: Final = 128
"""More than this no client has a use for."""

_LINE: Final = re.compile(rb"([!#-'*+\-.0-9A-Z^-z|~]{1,32}) ([!-~]+) HTTP/1\.([01])\Z")
_HEADER: Final = re.compile(rb"([!#-'*+\-.0-9A-Z^-z|~]+):[ \t]*([^\0\r\n]*?)[ \t]*\Z")
_ABSOLUTE: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_LENGTH: Final = re.compile(r"[0-9]{1,15}\Z")
_KNOWN: Final = 256
_LONGEST_KNOWN: Final = 2048


class HeadError(ValueError):
    """A head is none that is answered; `status` says why to a machine, the message to a human being."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a request says."""

    method: str
    target: str
    """The path with its query, as they came."""
    path: str
    """Without the query: `%2F` is still to be told from a slash."""
    headers: Pairs
    length: int | None
    """The bytes of the body; None where it comes in chunks."""
    keeps: bool
    expects: bool
    """Whether the client waits for a word before it sends the body."""
    is_old: bool = False
    """Whether it speaks HTTP/1.0, and so reads no chunks."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whose name is given in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def segments(self) -> list[str]:
        """Return the parts of the path between slashes, each unquoted for itself."""
        return [unquote(part) for part in self.path.split("/")[1:]]


class HeadReader:
    """Reads heads, and remembers those that clients repeat."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def read(self, text: bytes) -> Head:
        """Read a head without the empty line that ends it; raises HeadError."""
        known = self._known.get(text)
        if known is None:
            known = read_head(text)
            if len(text) <= _LONGEST_KNOWN:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                self._known[text] = known
        return known


def read_head(text: bytes) -> Head:
    """Read a head without the empty line that ends it; raises HeadError."""
    first, *lines = text.split(b"\r\n")
    found = _LINE.match(first)
    if found is None:
        raise HeadError(400, "the request is not HTTP/1.1")
    if len(lines) > MAX_HEADERS:
        raise HeadError(431, f"the request has more than {MAX_HEADERS} headers")
    pairs = tuple(_read_header(line) for line in lines)
    is_old = found[3] == b"0"
    lower = [(name.lower(), value) for name, value in pairs]
    if not is_old and len(_all(lower, "host")) != 1:
        raise HeadError(400, "the request has no header `Host`, or several")
    options = {part.strip().lower() for value in _all(lower, "connection") for part in value.split(",")}
    length, target = _read_length(lower, is_old=is_old), _read_target(found[2].decode())
    return Head(
        method=found[1].decode(),
        target=target,
        path=target.partition("?")[0],
        headers=pairs,
        length=length,
        keeps="keep-alive" in options if is_old else "close" not in options,
        expects=_expects(lower) and not is_old,
        is_old=is_old,
    )


def _read_header(line: bytes) -> tuple[str, str]:
    found = _HEADER.match(line)
    if found is None:
        raise HeadError(400, "a header of the request is not one line of a name and a value")
    return found[1].decode(), found[2].decode("utf-8", "surrogateescape")


def _read_target(target: str) -> str:
    if not target.startswith("/"):
        target, count = _ABSOLUTE.subn("", target, count=1)
        if not count:
            raise HeadError(400, "the request's target is not a path")
    target = target.partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def _read_length(lower: Sequence[tuple[str, str]], *, is_old: bool) -> int | None:
    """Return the length of the body, None for chunks; two ways of saying it are one too many."""
    lengths, codings = _all(lower, "content-length"), _all(lower, "transfer-encoding")
    if codings:
        if is_old or lengths or len(codings) > 1:
            raise HeadError(400, "the request does not say in one way how long its body is")
        if codings[0].lower() != "chunked":
            raise HeadError(501, "the request's transfer encoding is not `chunked`")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.match(lengths[0]):
        raise HeadError(400, "the request's `Content-Length` is not one whole number")
    return int(lengths[0])


def _expects(lower: Sequence[tuple[str, str]]) -> bool:
    wanted = _all(lower, "expect")
    if wanted and [each.lower() for each in wanted] != ["100-continue"]:
        raise HeadError(417, "the request expects what is not done here")
    return bool(wanted)


def _all(lower: Sequence[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in lower if key == name]
