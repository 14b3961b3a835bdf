"""What a store holds for units to fetch: files under names made of their content, so that no name means another."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast
from urllib.parse import quote, urlsplit

from graphc.records import record
from graphc.regular_files import open_regular

Files = Sequence[tuple[str, Path]]
"""Files of this machine by the names that a unit gives them."""

ARCHIVE: Final = "files.tar"
"""What the files of a Python node are called together."""

_STORED: Final = re.compile(r"(?P<store>.+)/sha256/(?P<content>[0-9a-f]{64})/[^/]+")
_CHUNK: Final = 1 << 20


@record
class Upload:
    """What a store has to hold before units start: one file, or an archive of several."""

    node: str
    uri: str
    sha256: str
    size: int
    files: tuple[tuple[str, Path], ...]
    packed: bool = False

    def write(self, target: "Sink") -> None:
        """Write the content, some of it at a time; raises OSError."""
        if self.packed:
            _write_archive(self.files, target)
            return
        with open_regular(self.files[0][1]) as file:
            while chunk := file.read(_CHUNK):
                target.write(chunk)


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes."""
        ...


class _Measure:
    """Counts and hashes what is written to it."""

    def __init__(self) -> None:
        self.size, self._digest = 0, hashlib.sha256()

    def write(self, data: bytes, /) -> int:
        self.size += len(data)
        self._digest.update(data)
        return len(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def store_files(node: str, store: str, files: Files) -> tuple[Upload, ...]:
    """Return what a store has to hold of some files, the first of them first; raises OSError.

    All lie in one folder, named by the content of all: by the first one's own hash where it is alone.
    """
    measured = [(name, path, _measure(path)) for name, path in files]
    address = measured[0][2].sha256
    if len(measured) > 1:
        listed = "".join(f"{name}\0{each.sha256}\n" for name, _, each in measured)
        address = hashlib.sha256(listed.encode()).hexdigest()
    return tuple(
        Upload(node, _locate(store, address, name), each.sha256, each.size, ((name, path),))
        for name, path, each in measured
    )


def store_archive(node: str, store: str, files: Files) -> Upload:
    """Return the archive of some files that a store has to hold; raises OSError."""
    measure = _Measure()
    _write_archive(files, measure)
    uri = _locate(store, measure.sha256, ARCHIVE)
    return Upload(node, uri, measure.sha256, measure.size, tuple(files), packed=True)


def find_content(uri: str) -> tuple[str, str] | None:
    """Return the store and the name of the content of what `graphc push` put there; None for any other URI."""
    found = _STORED.fullmatch(uri)
    return (found["store"], found["content"]) if found else None


def _locate(store: str, address: str, name: str) -> str:
    return f"{store.rstrip('/')}/sha256/{address}/{quote(name) if _is_quoted(store) else name}"


def _is_quoted(store: str) -> bool:
    # The unit's fetch takes every URI's path for a quoted one; a claim's is no URI to it.
    return urlsplit(store).scheme != "pvc"


def _measure(path: Path) -> _Measure:
    measure = _Measure()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            measure.write(chunk)
    return measure


def _write_archive(files: Files, target: Sink) -> None:
    """Write an archive that is the same for the same files, whoever makes it and when."""
    # Few graphs have so much beside their modules.
    import tarfile

    with tarfile.open(fileobj=cast("BinaryIO", target), mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, path in sorted(files):
            with open_regular(path) as file:
                member = tarfile.TarInfo(name)
                member.size = file.seek(0, 2)
                member.mode = 0o444
                file.seek(0)
                archive.addfile(member, file)
