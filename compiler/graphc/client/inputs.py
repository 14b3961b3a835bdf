"""Turn the command line's inputs into tensors of the types that the model wants."""

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
from graphc_components.tensors import TensorType

from graphc.client.failure import InferError
from graphc.client.printing import shorten
from graphc.client.rows import SUFFIXES as ROWS
from graphc.client.rows import array_of_file, array_of_rows, group_columns, read_rows
from graphc.client.tensor import Array, Tensor, fit_tensor, make_array
from graphc.client.values import array_of_json, parse_json, tensors_of_json

Wanted = Mapping[str, TensorType]

_MOST_IMAGES: Final = 1024


@dataclass(frozen=True, slots=True)
class _Given:
    """What one argument gives of an input: all of it, or one row that was read from an image's file."""

    name: str
    array: Array
    image: Path | None = None


def read_inputs(arguments: Iterable[str], wanted: Wanted) -> list[Tensor]:
    """Read `NAME=FILE`, `NAME=JSON`, `FILE` or `JSON` arguments; raises InferError.

    The name may be left out where the model has one input, or the file names its own. A folder stands for the images
    in it; of several images of one input each becomes a row.
    """
    given = dict[str, list[_Given]]()
    for argument in arguments:
        for each in _read_argument(argument, wanted):
            given.setdefault(each.name, []).append(each)
    return [fit_tensor(name, _join(name, parts), _find_type(name, wanted)) for name, parts in given.items()]


def _join(name: str, parts: Sequence[_Given]) -> Array:
    if len(parts) == 1:
        return parts[0].array
    if any(each.image is None for each in parts):
        raise InferError(f"input `{name}` is given twice")
    first = parts[0]
    other = next((each for each in parts if each.array.shape != first.array.shape), None)
    if other is not None:
        sizes = (
            f"`{first.image}` has shape {list(first.array.shape)}, `{other.image}` {list(other.array.shape)}"
        )
        raise InferError(f"the images of input `{name}` have different sizes: {sizes}")
    join = np.concatenate if first.array.dtype.kind == "O" else np.stack
    return join([each.array for each in parts])


def _find_type(name: str, wanted: Wanted) -> TensorType | None:
    if wanted and name not in wanted:
        raise InferError(f"`{shorten(name)}` is not an input of the model; {_inputs_of(wanted)}")
    return wanted.get(name)


def _inputs_of(wanted: Wanted) -> str:
    known = ", ".join(f"`{each}`" for each in wanted)
    return f"its inputs are {known}"


def _read_argument(argument: str, wanted: Wanted) -> Iterable[_Given]:
    try:
        name, value = _split(argument)
        if name is not None:
            return list(_read_value(name, value, _find_type(name, wanted)))
        if argument.lstrip()[:1] in {"[", "{"}:
            return list(_of_json(parse_json(argument, "it"), argument, wanted))
        return list(_read_nameless(Path(argument), wanted))
    except OSError as error:
        raise InferError(f"`{error.filename}` cannot be read: {(error.strerror or '').lower()}") from error


def _split(argument: str) -> tuple[str | None, str]:
    """Return the name and the value of an argument; JSON and the name of a file may hold an equals sign, too."""
    name, equals, value = argument.partition("=")
    if not equals or argument.lstrip()[:1] in {"[", "{"} or _exists(Path(argument)):
        return None, argument
    return name, value


def _only_input(wanted: Wanted, argument: str) -> str:
    if len(wanted) == 1:
        return next(iter(wanted))
    told = f"; {_inputs_of(wanted)}" if wanted else ""
    raise InferError(
        f"`{shorten(argument)}` needs the name of an input, as in `--input NAME={shorten(argument)}`{told}"
    )


def _of_json(value: object, argument: str, wanted: Wanted) -> Iterator[_Given]:
    """Yield what a JSON value without a name gives: a request's inputs, a mapping by input, or the only input."""
    if isinstance(value, dict) and not ("data" in value and len(wanted) == 1 and "data" not in wanted):
        yield from (_Given(name, array) for name, array in tensors_of_json(cast("object", value)).items())
        return
    name = _only_input(wanted, argument)
    yield _Given(name, array_of_json(cast("object", value), name))


def _read_value(name: str, value: str, wanted: TensorType | None) -> Iterator[_Given]:
    path = Path(value)
    suffix = path.suffix.lower()
    if suffix in {*ROWS, ".json", ".npy", ".npz"} or _exists(path):
        yield from _read_path(path, name, wanted)
        return
    try:
        yield _Given(name, array_of_json(parse_json(value, "it"), name))
    except InferError as error:
        if value[:1] in '[{"' or not str(error).startswith("it is not JSON"):
            raise
        raise InferError(f"input `{name}`: `{shorten(value)}` is neither a file nor JSON") from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _read_path(path: Path, name: str, wanted: TensorType | None) -> Iterator[_Given]:
    suffix = path.suffix.lower()
    if path.is_dir():
        yield from (_read_binary(each, name, wanted) for each in _list_images(path))
    elif suffix in ROWS:
        yield _Given(name, array_of_file(read_rows(path, name), name, wanted))
    elif suffix == ".json":
        yield _Given(name, array_of_json(parse_json(_read_text(path), f"`{path}`"), name))
    elif suffix in {".npy", ".npz"}:
        yield _Given(name, _pick(_load_numpy(path), path, name))
    else:
        yield _read_binary(path, name, wanted)


def _list_images(folder: Path) -> list[Path]:
    # Pillow is slow to import, and only images need it.
    from graphc.client.images import SUFFIXES

    found = sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES and each.is_file())
    if not found:
        raise InferError(f"`{folder}` is a folder without images")
    if len(found) > _MOST_IMAGES:
        raise InferError(f"`{folder}` has {len(found)} images, and one request takes {_MOST_IMAGES}")
    return found


def _read_binary(path: Path, name: str, wanted: TensorType | None) -> _Given:
    from graphc.client.images import SUFFIXES, read_image

    if wanted is not None and wanted.datatype == "BYTES":
        return _Given(name, make_array([path.read_bytes()], [1] * max(1, wanted.rank), name), path)
    if path.suffix.lower() in SUFFIXES:
        return _Given(name, read_image(path, wanted), path)
    raise InferError(f"`{path}` is no csv, json, npy, npz or image file")


def _read_nameless(path: Path, wanted: Wanted) -> Iterator[_Given]:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        yield from (_Given(name, array) for name, array in _load_numpy(path).items())
    elif suffix == ".json":
        yield from _of_json(parse_json(_read_text(path), f"`{path}`"), str(path), wanted)
    elif suffix in ROWS:
        yield from _read_columns(path, wanted)
    else:
        name = _only_input(wanted, str(path))
        yield from _read_value(name, str(path), wanted[name])


def _read_columns(path: Path, wanted: Wanted) -> Iterator[_Given]:
    """Yield the columns of each input that the header names, or the whole file as the only input.

    An input of several columns has them side by side, from `x[0]` on, as `graphc infer --output csv` writes them.
    """
    rows = read_rows(path, "")
    header, *body = rows
    places = group_columns(header)
    if len(wanted) == 1 and not set(places) & set(wanted):
        name = next(iter(wanted))
        yield _Given(name, array_of_file(rows, name, wanted[name]))
        return
    for name, columns in places.items():
        cells = [[row[place] for place in columns] for row in body]
        yield _Given(name, array_of_rows(cells, len(columns), name, _find_type(name, wanted)))


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
