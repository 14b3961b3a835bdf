"""A bucket, through fsspec: the one module that talks to it."""

import importlib
from collections.abc import Callable
from typing import Any, BinaryIO, Final, Protocol, cast

from graphc.push.problem import PushError
from graphc.push.stores import Checked
from graphc.targets.storing import Upload

_CLIENTS: Final = {"s3": "s3fs", "gs": "gcsfs"}
_BLOCK: Final = 8 << 20
"""Bytes that are held in memory, and sent as one part."""


class _FileSystem(Protocol):
    def info(self, path: str) -> dict[str, Any]: ...

    def open(self, path: str, mode: str, *, block_size: int) -> BinaryIO: ...


class BucketStore:
    """One object of a bucket; credentials are those of the client's own settings."""

    def __init__(self, scheme: str, path: str) -> None:
        self._system, self._path = _open_system(scheme), path

    def has(self, upload: Upload) -> bool:
        """Look at the object's size; objects come to be whole, and the name tells the content."""
        try:
            return self._system.info(self._path).get("size") == upload.size
        except FileNotFoundError:
            return False

    def put(self, upload: Upload) -> None:
        """Send the content in parts; nothing is there before the last one has arrived."""
        file = self._system.open(self._path, "wb", block_size=_BLOCK)
        try:
            checked = Checked(file, upload)
            upload.write(checked)
            checked.finish()
        except BaseException:
            _discard(file)
            raise
        file.close()
        if not self.has(upload):
            raise PushError("the store has another size than was sent")


def _discard(file: Any) -> None:
    """Have nothing become of what was sent so far; closing the file would make an object of it."""
    try:
        file.discard()
    finally:
        # The collector closes files that are open.
        file.closed = True


def _open_system(scheme: str) -> _FileSystem:
    client = _CLIENTS.get(scheme, scheme)
    try:
        fsspec = importlib.import_module("fsspec")
        return cast("Callable[[str], _FileSystem]", fsspec.filesystem)(scheme)
    except ImportError:
        raise PushError(
            f"{scheme}:// needs `{client}`, which is not installed: install `graphc-compiler[push]`"
        ) from None
