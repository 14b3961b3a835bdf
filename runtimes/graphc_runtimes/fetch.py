"""Fetches an artefact before the server starts: `python -m graphc_runtimes.fetch URI FOLDER [FILE ...]`."""

import argparse
import hashlib
import importlib
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Final, Protocol, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import urlopen

_TIMEOUT_S: Final = 60
_CHUNK: Final = 1 << 20


class FetchError(Exception):
    """The artefact cannot be had; the message says why."""


class _FileSystem(Protocol):
    def exists(self, path: str) -> bool: ...

    def isdir(self, path: str) -> bool: ...

    def get(self, rpath: str, lpath: str, recursive: bool = False) -> object: ...


def fetch(
    uri: str, folder: Path, sha256: Sequence[str] = (), beside: Sequence[str] = (), *, unpack: bool = False
) -> None:
    """Put the file, or what the folder holds, that a URI names into a folder: whole, or not at all.

    `beside` are further files, relative to the one that the URI names, such as the weights of an ONNX model. `sha256`
    are hashes that the files have to have, in their order. An archive to `unpack` is replaced by what it holds.

    Raises FetchError, OSError, and what the file system of the URI's scheme raises.
    """
    parts = urlsplit(uri)
    get = _SCHEMES.get(parts.scheme)
    if get is None:
        raise FetchError(f"`{parts.scheme}` is not a scheme that can be fetched: {', '.join(_SCHEMES)[2:]}")
    folder.mkdir(parents=True, exist_ok=True)
    # Inside the folder, so that moving out of it stays on one volume and cannot fail half-way.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as partial:
        arrived = Path(partial)
        get(parts, arrived)
        if sha256:
            _check_digest(_only_file(arrived, "a SHA-256 is of one file"), sha256[0])
        for index, name in enumerate(beside, start=1):
            target = arrived.joinpath(*_parts_below(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            get(_sibling(parts, name), target.parent)
            if sha256:
                _check_digest(target, sha256[index])
        if unpack:
            _unpack(_only_file(arrived, "an archive is one file"))
        for each in sorted(arrived.iterdir()):
            _move(each, folder / each.name)


def _parts_below(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise FetchError(f"`{name}` does not lie beside it")
    return path.parts


def _sibling(parts: SplitResult, name: str) -> SplitResult:
    """Return the URI of a file beside the one of a URI."""
    return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{quote(name)}")


def _only_file(folder: Path, reason: str) -> Path:
    found = [*folder.iterdir()]
    if len(found) != 1 or not found[0].is_file():
        raise FetchError(f"{reason}, and the URI names a folder")
    return found[0]


def _check_digest(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected.lower():
        raise FetchError(f"the SHA-256 of `{path.name}` is {actual}, not {expected.lower()}")


def _unpack(archive: Path) -> None:
    """Replace an archive by its files; what would lie elsewhere, or is no file, is refused."""
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                if not member.isreg():
                    raise FetchError(f"`{member.name}` in the archive is no file")
                opened.extract(member, archive.parent, set_attrs=False, filter="data")
    except tarfile.TarError as error:
        raise FetchError(f"it is no archive that can be unpacked: {error}") from None
    archive.unlink()


def _move(source: Path, target: Path) -> None:
    # A container that restarts finds what it fetched before; a folder cannot be replaced in one step.
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)


# --- One function for each scheme ---------------------------------------------------------------------


def _get_local(parts: SplitResult, folder: Path) -> None:
    source = Path(unquote(parts.path))
    if not source.exists():
        raise FetchError("there is no such file")
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, folder / source.name)


def _get_web(parts: SplitResult, folder: Path) -> None:
    name = PurePosixPath(unquote(parts.path)).name
    if not name or parts.path.endswith("/"):
        raise FetchError("the URL names no file")
    with cast("HTTPResponse", urlopen(parts.geturl(), timeout=_TIMEOUT_S)) as response:
        expected = response.headers.get("Content-Length")
        with (folder / name).open("wb") as file:
            shutil.copyfileobj(response, file, _CHUNK)
            received = file.tell()
    # Reading in chunks does not notice a connection that broke off.
    if expected is not None and received != int(expected):
        raise FetchError(f"the connection broke off after {received} of {expected} bytes")


def _get_bucket(parts: SplitResult, folder: Path) -> None:
    system = _open_system(parts.scheme)
    path = f"{parts.netloc}{unquote(parts.path)}".rstrip("/")
    if not system.exists(path):
        raise FetchError("there is no such object")
    if system.isdir(path):
        # With a slash, fsspec copies what the folder holds and not the folder.
        system.get(f"{path}/", str(folder), recursive=True)
    else:
        system.get(path, str(folder / PurePosixPath(path).name))


def _open_system(scheme: str) -> _FileSystem:
    try:
        fsspec = importlib.import_module("fsspec")
        return cast("Callable[[str], _FileSystem]", fsspec.filesystem)(scheme)
    except ImportError:
        raise FetchError(f"{scheme}:// needs the `fetch` extra of graphc-runtimes in the image") from None


_SCHEMES: Final[Mapping[str, Callable[[SplitResult, Path], None]]] = {
    "": _get_local,
    "file": _get_local,
    "http": _get_web,
    "https": _get_web,
    "s3": _get_bucket,
    "gs": _get_bucket,
}


# --- The command ---------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one line on the standard error stream."""
    parser = argparse.ArgumentParser(prog="graphc_runtimes.fetch", description=__doc__)
    parser.add_argument("uri", help="a path, or a file, http, https, s3 or gs URI, of a file or a folder")
    parser.add_argument("folder", type=Path, help="where to put it")
    parser.add_argument("beside", nargs="*", metavar="FILE", help="further files, relative to the first")
    parser.add_argument(
        "--sha256",
        action="append",
        default=[],
        metavar="HEX",
        help="refuse a file with another SHA-256; given once for each file, in their order",
    )
    parser.add_argument("--unpack", action="store_true", help="put the files of a tar archive there")
    given = parser.parse_args(arguments)
    if given.sha256 and len(given.sha256) != 1 + len(given.beside):
        parser.error("--sha256 is given for each file, or for none")
    try:
        fetch(given.uri, given.folder, given.sha256, given.beside, unpack=given.unpack)
    except FetchError as error:
        return _fail(given.uri, str(error))
    except (OSError, HTTPException) as error:
        return _fail(given.uri, str(error) or type(error).__name__)
    # Clients of object stores have exception classes of their own, which are not to be imported here.
    except Exception as error:
        return _fail(given.uri, f"{type(error).__name__}: {error}")
    return 0


def _fail(uri: str, reason: str) -> int:
    line = " ".join(reason.split())
    print(f"error: cannot fetch `{_public(uri)}`: {line}", file=sys.stderr)
    return 1


def _public(uri: str) -> str:
    """Return a URI without passwords and signatures, which logs must not hold."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


if __name__ == "__main__":
    # Files that the server reads as another user than the one that fetched them.
    os.umask(0o022)
    sys.exit(main())
