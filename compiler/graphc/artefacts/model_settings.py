"""Reads what MLServer's `model-settings.json` files say of the models of a folder.

The fields are those of https://mlserver.readthedocs.io/en/latest/reference/model-settings.html.
"""

import json
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, cast

from graphc.artefacts.described import DescribedModel, DescribedTensor
from graphc.artefacts.mlflow_model import FILE as MLMODEL
from graphc.artefacts.mlflow_model import RUNTIME, read_mlmodel
from graphc.diagnostics.printable import quoted
from graphc.records import record
from graphc.regular_files import open_regular
from graphc.unchecked import objects, text

SETTINGS: Final = "model-settings.json"
_MOST: Final = 1 << 20
"""Bytes of a file that are read."""


@record
class DescribedFolder:
    """The models of a folder by their names, and the files that MLServer cannot read with the reason."""

    models: Mapping[str, DescribedModel]
    faults: Mapping[str, str]


def read_settings(files: Sequence[tuple[str, Path]]) -> DescribedFolder:
    """Return the models that files of a folder describe, by their paths below it."""
    models: dict[str, DescribedModel] = {}
    faults: dict[str, str] = {}
    paths = dict(files)
    for name, path in files:
        if PurePosixPath(name).name != SETTINGS:
            continue
        try:
            found = _parse(_read(path))
            # Without a name, a model has that of its folder.
            called = text(found, "name") or PurePosixPath(name).parent.name
            models[called] = _describe(found, name, paths)
        except _FileError as error:
            faults[name] = str(error)
    return DescribedFolder(models, faults)


class _FileError(Exception):
    """A file cannot be read; its text is the reason."""


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            body = file.read(_MOST + 1)
    except OSError as error:
        raise _FileError(error.strerror or "it cannot be read") from None
    if len(body) > _MOST:
        raise _FileError(f"it is longer than {_MOST >> 20} MiB")
    return body


def _parse(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _FileError("it is no JSON") from None


def _describe(settings: object, name: str, paths: Mapping[str, Path]) -> DescribedModel:
    """Return what settings, or the signature of the MLflow model that they name, say of the tensors."""
    own = DescribedModel(name, _read_tensors(settings, "inputs"), _read_tensors(settings, "outputs"))
    uri = text(settings, "parameters", "uri")
    if not text(settings, "implementation").startswith(RUNTIME) or not uri or "://" in uri or uri[0] == "/":
        return own
    file = posixpath.normpath(posixpath.join(posixpath.dirname(name), uri, MLMODEL))
    if file not in paths:
        raise _FileError(f"its `uri` is {quoted(uri)}, where no `{MLMODEL}` is")
    try:
        body = _read(paths[file]).decode()
    except (_FileError, UnicodeDecodeError):
        raise _FileError(f"its {quoted(file)} cannot be read") from None
    return read_mlmodel(body, file) or own


def _read_tensors(settings: object, field: str) -> Mapping[str, DescribedTensor] | None:
    found = {text(each, "name"): each for each in objects(settings, field)}
    return {name: _read_tensor(each) for name, each in found.items() if name} or None


def _read_tensor(tensor: Mapping[str, object]) -> DescribedTensor:
    shape = tensor.get("shape")
    sizes = _read_sizes(cast("list[object]", shape)) if isinstance(shape, list) else None
    return DescribedTensor(text(tensor, "datatype") or None, sizes)


def _read_sizes(sizes: Sequence[object]) -> tuple[int | None, ...]:
    return tuple(size if type(size) is int and size >= 0 else None for size in sizes)
