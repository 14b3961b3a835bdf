"""Wheels of graphc's own packages, made of what is installed: the same files make the same bytes."""

import base64
import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from graphc.packages.problem import PackageError

OWN: Final = (("graphc-components", "graphc_components"), ("graphc-runtimes", "graphc_runtimes"))
"""The distributions that a unit has of graphc's, with the packages that they hold."""

_WHEEL: Final = "Wheel-Version: 1.0\nGenerator: graphc\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def make_wheels() -> dict[str, bytes]:
    """Return the wheels of graphc's own packages by their file names; raises PackageError."""
    return dict(_make_wheel(name, package) for name, package in OWN)


def find_own(name: str) -> Distribution:
    """Return one of graphc's own distributions as it is installed; raises PackageError."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise PackageError(f"`{name}` is not installed here, which the image needs") from None


def _make_wheel(name: str, package: str) -> tuple[str, bytes]:
    found = find_own(name)
    stem = f"{name.replace('-', '_')}-{found.version}"
    info = f"{stem}.dist-info"
    files = dict(_package_files(package))
    files[f"{info}/METADATA"] = (found.read_text("METADATA") or "").encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return f"{stem}-py3-none-any.whl", _zip(files)


def _package_files(package: str) -> Iterator[tuple[str, bytes]]:
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise PackageError(f"`{package}` is not installed here, which the image needs")
    root = Path(places[0])
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{package}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # Not compressed: another zlib would make other bytes.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()
