"""Compressed bodies, unpacked as far as they may grow."""

import zlib
from typing import Final

RATIO: Final = 100
"""No text of numbers that a client means is smaller than its hundredth part."""
_ALWAYS: Final = 8 * 2**20
_STEP: Final = 256 * 1024
# Raw deflate is what some clients send for `deflate`, which means zlib's form of it.
_WINDOWS: Final = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
ENCODINGS: Final = frozenset(_WINDOWS)


class UnpackError(ValueError):
    """A body cannot be unpacked; the message says why in a user's words."""


class TooLargeError(UnpackError):
    """A body is larger than it may be once it is unpacked."""


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Return what a compressed body holds; raises UnpackError."""
    limit = min(limit, max(_ALWAYS, RATIO * len(body)))
    failure: zlib.error | None = None
    for window in _WINDOWS[encoding]:
        try:
            return _inflate(body, window, limit)
        except zlib.error as error:
            failure = error
    raise UnpackError(f"the body is not {encoding}") from failure


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    found, rest = bytearray(), body
    # Several members may follow one another, as `cat a.gz b.gz` makes them.
    while rest:
        inflater = zlib.decompressobj(window)
        while not inflater.eof:
            piece = inflater.decompress(rest, _STEP)
            rest = inflater.unconsumed_tail
            found += piece
            if len(found) > limit:
                raise TooLargeError(f"the body is larger than {limit} bytes once it is unpacked")
            if not piece and not rest and not inflater.eof:
                raise UnpackError("the compressed body is cut short")
        rest = inflater.unused_data
    return bytes(found)
