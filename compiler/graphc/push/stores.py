"""The kinds of stores: a folder of this machine, a bucket, a web server that takes files by PUT."""

import hashlib
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from graphc.push.problem import PushError
from graphc.targets.storing import Upload


class Target(Protocol):
    """A store as a push sees it; the methods raise PushError, OSError, or what the store's client raises."""

    def has(self, upload: Upload) -> bool:
        """Say whether the store holds the content already, as far as it tells."""
        ...

    def put(self, upload: Upload) -> None:
        """Store the content: whole, or in such a way that `has` says no."""
        ...


def open_store(upload: Upload, claims: Mapping[str, Path]) -> Target:
    """Return the store that a file goes to; `claims` are folders of this machine that stand for claims."""
    parts = urlsplit(upload.uri)
    match parts.scheme:
        case "file":
            return FolderStore(Path(unquote(parts.path)))
        case "pvc":
            folder = claims.get(parts.netloc)
            if folder is None:
                raise PushError(
                    f"the volume claim `{parts.netloc}` is not here: mount it, and give it with "
                    f"`--mount {parts.netloc}=DIR`"
                )
            return FolderStore(folder / parts.path.lstrip("/"))
        case "http" | "https":
            # A client of HTTP takes as long to import as a small push.
            from graphc.push.web import WebStore

            return WebStore(upload.uri)
        case _:
            from graphc.push.bucket import BucketStore

            return BucketStore(parts.scheme, f"{parts.netloc}{unquote(parts.path)}")


class Checked:
    """Passes content on that is what was measured when the graph was compiled.

    The last part waits until that is known, so that no store ever holds all of another content under its name.
    """

    def __init__(self, target: "Writer", upload: Upload) -> None:
        self._target, self._upload, self._digest = target, upload, hashlib.sha256()
        self._waiting = b""

    def write(self, data: bytes, /) -> object:
        """Take some of the content."""
        self._digest.update(data)
        if self._waiting:
            self._target.write(self._waiting)
        self._waiting = data
        return len(data)

    def finish(self) -> None:
        """Pass the last part on; raises PushError where the content is another."""
        if self._digest.hexdigest() != self._upload.sha256:
            raise PushError("it was changed meanwhile: push again")
        if self._waiting:
            self._target.write(self._waiting)


class Writer(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes."""
        ...


class FolderStore:
    """A file of this machine, such as of a claim that is mounted here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, upload: Upload) -> bool:
        """Say whether the file is there, and its content is what its name says."""
        try:
            if self._path.stat().st_size != upload.size:
                return False
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == upload.sha256
        except FileNotFoundError:
            return False

    def put(self, upload: Upload) -> None:
        """Write the file beside its place, and move it there once it is whole and on disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            with partial.open("xb") as file:
                checked = Checked(file, upload)
                upload.write(checked)
                checked.finish()
                file.flush()
                os.fsync(file.fileno())
            # Units read it as another user.
            partial.chmod(0o644)
            partial.replace(self._path)
        finally:
            with suppress(OSError):
                partial.unlink()
