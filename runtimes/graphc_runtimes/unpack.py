"""Compressed bodies, unpacked piece by piece, so that no more comes of them than may."""

import zlib
from collections.abc import Iterator
from typing import Final

from graphc_runtimes.desk import BusyError
from graphc_runtimes.errors import RequestError
from graphc_runtimes.numerals import Text
from graphc_runtimes.room import Room
from graphc_runtimes.shown import show

_STEP: Final = 2**16
_FREE: Final = 2**24
_MOST_TIMES: Final = 64
"""A body may become as many times its size, once it is more than a few megabytes: numbers become ten times."""
_WINDOW_BITS: Final = {b"gzip": 31, b"deflate": 15}


def unpack(body: Text, coding: bytes, most: int, room: Room) -> memoryview:
    """Return a body unpacked; raises RequestError, and BusyError where the server has no room for it now.

    The room is the caller's to give back: as many bytes as came of it, or none where this raises.
    """
    if coding not in _WINDOW_BITS:
        raise RequestError(f"the content-encoding {show(coding.decode('latin-1'))} is not known here")
    found, most = bytearray(), min(most, max(_FREE, _MOST_TIMES * len(body)))
    try:
        for part in _parts(memoryview(body), coding):
            if len(found) + len(part) > most:
                raise RequestError(f"the compressed body is larger than {most} bytes when it is unpacked")
            if not room.take(len(part)):
                raise BusyError("bytes in flight")
            found += part
    except (RequestError, BusyError):
        room.give_back(len(found))
        raise
    return memoryview(found)


def _parts(body: memoryview, coding: bytes) -> Iterator[bytes]:
    """Unpack what may be several members, one after the other."""
    unpacker = zlib.decompressobj(_WINDOW_BITS[coding])
    for at in range(0, len(body), _STEP):
        rest: Text = body[at : at + _STEP]
        while len(rest):
            if unpacker.eof:
                unpacker = zlib.decompressobj(_WINDOW_BITS[coding])
            try:
                part = unpacker.decompress(rest, _STEP)
            except zlib.error:
                raise RequestError(f"the body is not {coding.decode()}") from None
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            yield part
    while not unpacker.eof:
        part = unpacker.decompress(b"", _STEP)
        if not part:
            raise RequestError("the compressed body is cut off")
        yield part
