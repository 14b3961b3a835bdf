"""Turn the command line's inputs into tensors of the types that the model wants."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from graphc_components.tensors import TensorType

from graphc.client.failure import InferError
from graphc.client.tensor import Array, Tensor, fit_tensor, make_array
from graphc.client.values import array_of_json, array_of_rows, parse_json, read_csv, tensors_of_json

Wanted = Mapping[str, TensorType]


def read_inputs(arguments: Iterable[str], wanted: Wanted) -> list[Tensor]:
    """Read `NAME=FILE`, `NAME=JSON` or `FILE` arguments; raises InferError."""
    arrays = dict[str, Array]()
    for argument in arguments:
        for name, array in _read_argument(argument, wanted):
            if name in arrays:
                raise InferError(f"input `{name}` is given twice")
            arrays[name] = array
    return [fit_tensor(name, array, _find_type(name, wanted)) for name, array in arrays.items()]


def _find_type(name: str, wanted: Wanted) -> TensorType | None:
    if wanted and name not in wanted:
        known = ", ".join(f"`{each}`" for each in wanted)
        raise InferError(f"`{name}` is not an input of the model; its inputs are {known}")
    return wanted.get(name)


def _read_argument(argument: str, wanted: Wanted) -> Iterable[tuple[str, Array]]:
    name, equals, value = argument.partition("=")
    try:
        if equals:
            return [(name, _read_value(name, value, _find_type(name, wanted)))]
        return _read_all(Path(argument), wanted).items()
    except OSError as error:
        raise InferError(f"`{error.filename}` cannot be read: {(error.strerror or '').lower()}") from error


def _read_value(name: str, value: str, wanted: TensorType | None) -> Array:
    path = Path(value)
    suffix = path.suffix.lower()
    if suffix in {".csv", ".json", ".npy", ".npz"} or _is_file(path):
        return _read_file(path, suffix, name, wanted)
    try:
        return array_of_json(parse_json(value, "it"), name)
    except InferError as error:
        if value[:1] in '[{"' or not str(error).startswith("it is not JSON"):
            raise
    raise InferError(f"input `{name}`: `{value}` is neither a file nor JSON")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _read_file(path: Path, suffix: str, name: str, wanted: TensorType | None) -> Array:
    match suffix:
        case ".csv":
            return array_of_rows(read_csv(path, name), name, wanted)
        case ".json":
            return array_of_json(parse_json(_read_text(path), f"`{path}`"), name)
        case ".npy" | ".npz":
            return _pick(_load_numpy(path), path, name)
        case _:
            return _read_binary(path, suffix, name, wanted)


def _read_binary(path: Path, suffix: str, name: str, wanted: TensorType | None) -> Array:
    # Pillow is slow to import, and only images need it.
    from graphc.client.images import SUFFIXES, read_image

    if wanted is not None and wanted.datatype == "BYTES":
        return make_array([path.read_bytes()], [1] * max(1, wanted.rank), name)
    if suffix in SUFFIXES:
        return read_image(path, wanted)
    raise InferError(f"`{path}` is no csv, json, npy, npz or image file")


def _read_all(path: Path, wanted: Wanted) -> dict[str, Array]:
    match path.suffix.lower():
        case ".npz":
            return _load_numpy(path)
        case ".json":
            return tensors_of_json(parse_json(_read_text(path), f"`{path}`"))
        case ".csv":
            header, *rows = read_csv(path, "")
            columns = zip(*rows, strict=True)
            named = zip(header, columns, strict=False)
            return {
                name: array_of_rows([[cell] for cell in column], name, wanted.get(name))
                for name, column in named
            }
        case _:
            raise InferError(f"`{path}` needs the name of an input, as in `--input NAME={path}`")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InferError(f"`{path}` is not UTF-8") from error


def _load_numpy(path: Path) -> dict[str, Array]:
    try:
        # Pickles run code.
        loaded = cast("object", np.load(path, allow_pickle=False))
        if isinstance(loaded, np.ndarray):
            return {"": _plain(cast("Array", loaded))}
        with cast("np.lib.npyio.NpzFile", loaded) as archive:
            return {name: _plain(cast("Array", archive[name])) for name in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise InferError(f"`{path}` cannot be read as numpy's: {error}") from error


def _plain(array: Array) -> Array:
    if array.dtype.kind not in "SU":
        return array
    texts = cast("list[str | bytes]", array.ravel().tolist())
    return make_array(texts, array.shape, "")


def _pick(arrays: Mapping[str, Array], path: Path, name: str) -> Array:
    if name in arrays:
        return arrays[name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    known = ", ".join(f"`{each}`" for each in arrays) or "none"
    raise InferError(f"`{path}` has no array `{name}`; its arrays are {known}")
