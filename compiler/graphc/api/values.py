"""Turns what Python programs hold, lists, numpy's arrays and pandas' tables, into tensors and back."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from graphc_components.tensors import TensorType

from graphc.client.failure import InferError
from graphc.client.tensor import Array, Leaf, Tensor, fit_tensor, make_array, make_texts
from graphc.client.values import array_of_json

Types = Mapping[str, TensorType]


def make_tensors(given: object, wanted: Types) -> list[Tensor]:
    """Return the tensors of a request: values by input, a table with a column for each, or the only input's values.

    Raises ValueError.
    """
    try:
        named = _name(given, wanted)
        unknown = next((name for name in named if name not in wanted), None)
        if unknown is not None:
            raise InferError(f"`{unknown}` is not an input; the graph has {_list(wanted)}")
        absent = next((name for name in wanted if name not in named), None)
        if absent is not None:
            raise InferError(f"input `{absent}` is not given")
        return [fit_tensor(name, _to_array(name, value), wanted[name]) for name, value in named.items()]
    except InferError as failure:
        raise ValueError(str(failure)) from failure


def _name(given: object, wanted: Types) -> Mapping[str, object]:
    if isinstance(given, Mapping):
        return cast("Mapping[str, object]", given)
    columns = getattr(given, "columns", None)
    if columns is not None and set(map(str, columns)) & set(wanted):
        table = cast("Mapping[str, object]", given)
        return {str(name): table[name] for name in columns}
    if len(wanted) == 1:
        return {next(iter(wanted)): given}
    raise InferError(f"values have to be given by input: {_list(wanted)}")


def _list(wanted: Types) -> str:
    return ", ".join(f"`{name}`" for name in wanted)


def _to_array(name: str, value: object) -> Array:
    if isinstance(value, str | bool | int | float | list | tuple) and not _has_bytes(cast("object", value)):
        return array_of_json(_to_lists(cast("object", value)), name)
    given = (
        np.array(value, np.object_)
        if isinstance(value, bytes | list | tuple)
        else np.asarray(cast("Any", value))
    )
    array = cast("Array", given)
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind in "SUO":
        leaves = cast("list[Leaf]", array.ravel().tolist())
        make = make_texts if array.dtype.kind in "SU" else make_array
        return make(leaves, array.shape, name)
    raise InferError(f"input `{name}` holds values that no datatype of the protocol has")


def _to_lists(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_to_lists(each) for each in cast("Sequence[object]", value)]
    return value


def _has_bytes(value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_has_bytes, cast("Sequence[object]", value)))
    return isinstance(value, bytes)


def show_array(array: Array) -> Array:
    """Return an answer's values as programs use them: texts as `str` where they are UTF-8."""
    if array.dtype.kind != "O":
        return array
    found = np.empty(array.shape, np.object_)
    found.ravel()[:] = [_text(each) for each in cast("list[bytes]", array.ravel().tolist())]
    return cast("Array", found)


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
