"""Keeps what was read of model files, by the hash of their content, so that it is not read again.

The cache is never needed and never trusted: what cannot be read, is not as it was written, or is another user's
counts as absent, and what cannot be written is left out. An entry is named by all that it depends on: the content, the
framework, and the modules that read it. So there is nothing to bring up to date, and writers can only agree.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, TypeVar, cast

from graphc_components.tensors import DATATYPES, Dim

from graphc.artefacts.locations import leaves_folder
from graphc.artefacts.signature import ArtefactTensor, Column, Opset, Origin, Signature, Skipped, WeightFile
from graphc.version import VERSION

_T = TypeVar("_T")

MOST_BYTES: Final = 1 << 16
"""Of one entry; a model with hundreds of tensors takes a tenth of it."""
MOST_ENTRIES: Final = 4096
"""When there are more, the older half is removed."""

_FIELDS: Final = (
    "inputs",
    "outputs",
    "optional_inputs",
    "skipped",
    "weights",
    "ir_version",
    "opsets",
    "version",
    "needs",
    "only_gpu",
    "columns",
)


class MalformedEntryError(ValueError):
    """An entry is not as it was written."""


def entry_path(folder: Path, content_hash: str, framework: str) -> Path:
    """Return the path of an entry."""
    key = f"{VERSION} {_readers()} {framework} {content_hash}"
    return folder / "signatures" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


@cache
def _readers() -> str:
    """Tell versions of the readers and their tables apart, which change between two releases too."""
    with os.scandir(Path(__file__).parent) as found:
        files = [each for each in found if each.name.endswith((".py", ".txt"))]
    return repr(sorted((each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files))


def find_signature(path: Path) -> Signature | None:
    """Return what was kept at a path."""
    try:
        with path.open("rb") as file:
            if hasattr(os, "geteuid") and os.fstat(file.fileno()).st_uid != os.geteuid():
                return None
            content = file.read(MOST_BYTES + 1)
        return _read(content) if len(content) <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None


def keep_signature(path: Path, signature: Signature) -> None:
    """Keep a signature at a path, whole or not at all."""
    content = json.dumps(_plain(signature)).encode()
    if len(content) > MOST_BYTES:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_old(path.parent)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()


def _remove_old(folder: Path) -> None:
    with os.scandir(folder) as found:
        entries = list(found)
    if len(entries) < MOST_ENTRIES:
        return
    by_age = sorted((each.stat(follow_symlinks=False).st_mtime_ns, each.path) for each in entries)
    for _, path in by_age[: len(by_age) // 2]:
        # Another writer may be at it too.
        with suppress(OSError):
            Path(path).unlink()


def _plain(signature: Signature) -> dict[str, object]:
    return {
        "inputs": [[each.name, each.datatype, each.shape] for each in signature.inputs],
        "outputs": [[each.name, each.datatype, each.shape] for each in signature.outputs],
        "optional_inputs": [[each.name, each.datatype, each.shape] for each in signature.optional_inputs],
        "skipped": [[each.name, each.reason, each.cure] for each in signature.skipped],
        "weights": [[each.path, each.least_size] for each in signature.weights],
        "ir_version": signature.ir_version,
        "opsets": [[each.domain, each.version] for each in signature.opsets],
        "version": signature.origin.version,
        "needs": [list(each) for each in signature.origin.needs],
        "only_gpu": list(signature.only_gpu),
        "columns": [[each.name, each.kind or "", each.needed] for each in signature.columns],
    }


def _read(content: bytes) -> Signature:
    plain: object = json.loads(content)
    if not isinstance(plain, dict) or tuple(cast("dict[str, object]", plain)) != _FIELDS:
        raise MalformedEntryError
    fields = cast("dict[str, object]", plain)
    version = fields["ir_version"]
    return Signature(
        _each(fields["inputs"], _tensor),
        _each(fields["outputs"], _tensor),
        _each(fields["optional_inputs"], _tensor),
        _each(fields["skipped"], lambda value: Skipped(*map(_text, _parts(value, 3)))),
        _each(fields["weights"], _weights),
        None if version is None else _whole(version),
        _each(fields["opsets"], _opset),
        _origin(fields["version"], fields["needs"]),
        _each(fields["only_gpu"], _text),
        _each(fields["columns"], _column),
    )


def _column(value: object) -> Column:
    name, kind, needed = _parts(value, 3)
    if kind not in {"", "text", "numbers"} or not isinstance(needed, bool):
        raise MalformedEntryError
    return Column(_text(name), _text(kind) or None, needed)


def _each(value: object, read: Callable[[object], _T]) -> tuple[_T, ...]:
    if not isinstance(value, list):
        raise MalformedEntryError
    return tuple(map(read, cast("list[object]", value)))


def _parts(value: object, count: int) -> list[object]:
    parts = cast("list[object]", value) if isinstance(value, list) else []
    if len(parts) != count:
        raise MalformedEntryError
    return parts


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedEntryError
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedEntryError
    return value


def _tensor(value: object) -> ArtefactTensor:
    name, datatype, shape = _parts(value, 3)
    if datatype is not None and datatype not in DATATYPES:
        raise MalformedEntryError
    return ArtefactTensor(
        _text(name),
        None if datatype is None else _text(datatype),
        None if shape is None else _each(shape, _dim),
    )


def _dim(value: object) -> Dim:
    if value is None or (isinstance(value, str) and value):
        return value
    if _whole(value) < 0:
        raise MalformedEntryError
    return cast("int", value)


def _origin(version: object, needs: object) -> Origin:
    def read(value: object) -> tuple[str, str]:
        module, name = map(_text, _parts(value, 2))
        return module, name

    return Origin(None if version is None else _text(version), _each(needs, read))


def _weights(value: object) -> WeightFile:
    path, least_size = _parts(value, 2)
    # As of the model itself: it must not make graphc ship just any file.
    if leaves_folder(_text(path)) or _whole(least_size) < 0:
        raise MalformedEntryError
    return WeightFile(_text(path), _whole(least_size))


def _opset(value: object) -> Opset:
    domain, version = _parts(value, 2)
    return Opset(_text(domain), _whole(version))
