"""Reads what MLServer's `model-settings.json` files say of the models of a folder.

The fields are those of https://mlserver.readthedocs.io/en/latest/reference/model-settings.html.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, cast

from graphc.records import record
from graphc.regular_files import open_regular
from graphc.unchecked import objects, text

SETTINGS: Final = "model-settings.json"
_MOST: Final = 1 << 20
"""Bytes of a file that are read."""


@record
class DescribedTensor:
    """A tensor of a model's own description; a size is None where any is right, and so are unknown parts."""

    datatype: str | None
    shape: tuple[int | None, ...] | None


@record
class DescribedModel:
    """A model with its file and the tensors that it describes; None where the file describes none."""

    file: str
    inputs: Mapping[str, DescribedTensor] | None
    outputs: Mapping[str, DescribedTensor] | None


@record
class DescribedFolder:
    """The models of a folder by their names, and the files that MLServer cannot read with the reason."""

    models: Mapping[str, DescribedModel]
    faults: Mapping[str, str]


def read_settings(files: Sequence[tuple[str, Path]]) -> DescribedFolder:
    """Return the models that files of a folder describe, by their paths below it."""
    models: dict[str, DescribedModel] = {}
    faults: dict[str, str] = {}
    for name, path in files:
        if PurePosixPath(name).name != SETTINGS:
            continue
        body = b""
        try:
            with open_regular(path) as file:
                body = file.read(_MOST + 1)
            found: object = json.loads(body[:_MOST])
        except OSError as error:
            faults[name] = error.strerror or "it cannot be read"
        except (ValueError, RecursionError):
            faults[name] = "it is no JSON" if len(body) <= _MOST else f"it is longer than {_MOST >> 20} MiB"
        else:
            # Without a name, a model has that of its folder.
            called = text(found, "name") or PurePosixPath(name).parent.name
            models[called] = DescribedModel(
                name, _read_tensors(found, "inputs"), _read_tensors(found, "outputs")
            )
    return DescribedFolder(models, faults)


def _read_tensors(settings: object, field: str) -> Mapping[str, DescribedTensor] | None:
    found = {text(each, "name"): each for each in objects(settings, field)}
    return {name: _read_tensor(each) for name, each in found.items() if name} or None


def _read_tensor(tensor: Mapping[str, object]) -> DescribedTensor:
    shape = tensor.get("shape")
    sizes = _read_sizes(cast("list[object]", shape)) if isinstance(shape, list) else None
    return DescribedTensor(text(tensor, "datatype") or None, sizes)


def _read_sizes(sizes: Sequence[object]) -> tuple[int | None, ...]:
    return tuple(size if type(size) is int and size >= 0 else None for size in sizes)
