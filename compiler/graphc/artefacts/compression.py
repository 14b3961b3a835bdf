"""Opens a file that may be compressed the way joblib compresses, within limits on what comes out."""

import bz2
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from graphc.artefacts.source import MalformedError, RefusedError, Source

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK: Final = 1 << 16
_MAX_OUTPUT: Final = 1 << 30
_MAX_LZMA_MEMORY: Final = 256 << 20

Chunks = Iterator[bytes]


def open_source(file: io.BufferedReader) -> Source:
    """Return the file's content, decompressed where its first bytes say so; it is read as it is used."""
    start = file.read(6)
    file.seek(0)
    for magic, inflate in _INFLATERS.items():
        if start.startswith(magic):
            return Source(io.BufferedReader(_Inflated(inflate(file)), _CHUNK))
    return Source(file, os.fstat(file.fileno()).st_size)


def _inflate_zlib(file: io.BufferedReader) -> Chunks:
    # zlib's and gzip's header are both understood, as 32 is added.
    engine = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    while not engine.eof and (data := engine.unconsumed_tail or file.read(_CHUNK)):
        yield engine.decompress(data, _CHUNK)


def _inflate_bz2(file: io.BufferedReader) -> Chunks:
    return _inflate(file, bz2.BZ2Decompressor())


def _inflate_lzma(file: io.BufferedReader) -> Chunks:
    # A header may ask for a dictionary of 4 GiB, which would be allocated before a byte is read.
    return _inflate(file, lzma.LZMADecompressor(memlimit=_MAX_LZMA_MEMORY))


def _inflate(file: io.BufferedReader, engine: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> Chunks:
    while not engine.eof:
        data = file.read(_CHUNK) if engine.needs_input else b""
        if engine.needs_input and not data:
            return
        yield engine.decompress(data, _CHUNK)


def _refuse_lz4(_file: io.BufferedReader) -> Chunks:
    raise RefusedError("it is compressed with lz4")


_INFLATERS: Final[dict[bytes, Callable[[io.BufferedReader], Chunks]]] = {
    b"\x78": _inflate_zlib,
    b"\x1f\x8b": _inflate_zlib,
    b"BZ": _inflate_bz2,
    b"\xfd7zXZ": _inflate_lzma,
    b"\x5d\x00": _inflate_lzma,
    b"\x04\x22\x4d\x18": _refuse_lz4,
}


class _Inflated(io.RawIOBase):
    """The chunks as a stream."""

    def __init__(self, chunks: Chunks) -> None:
        super().__init__()
        self._chunks = chunks
        self._chunk = memoryview(b"")
        self._left = _MAX_OUTPUT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        while not self._chunk:
            chunk = self._next_chunk()
            if chunk is None:
                return 0
            self._chunk = memoryview(chunk)
        count = min(len(view), len(self._chunk))
        view[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count

    def _next_chunk(self) -> bytes | None:
        try:
            chunk = next(self._chunks, None)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise MalformedError("its compressed data is damaged") from error
        self._left -= len(chunk or b"")
        if self._left < 0:
            raise RefusedError("it is too large once decompressed")
        return chunk
