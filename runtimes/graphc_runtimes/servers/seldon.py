"""Seldon's own protocol as its language wrapper speaks it: one tensor in `data`, with the names of its columns.

The fields were seen in what the wrapper answers: `ndarray` and `tensor` hold numbers, `strData` a text.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import orjson
from graphc_components.datatypes import Array

from graphc_runtimes.arrays import ArrayError
from graphc_runtimes.servers.dialect import Answer, AnswerError, Asked, Call, Dialect
from graphc_runtimes.servers.nested import Json, load_object, read_outputs, write_inputs


def make_dialect(asked: Asked) -> Dialect:
    """Return how a class behind Seldon's wrapper is asked."""
    return _Wrapper(asked)


class _Wrapper:
    """Asks one method with one tensor, or `aggregate` with a message for each."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._path = f"/{asked.text('method') or 'predict'}"
        self._is_joined = asked.text("method") == "aggregate"
        self._is_flat = asked.text("tensors") == "tensor"
        self._names: object = asked.parameters.get("names", [])

    def ask(self, inputs: Mapping[str, Array]) -> Sequence[Call]:
        messages = [self._write(name, array) for name, array in inputs.items()]
        if self._is_joined:
            return [Call(self._path, orjson.dumps({"seldonMessages": messages}))]
        if len(messages) != 1:
            raise ArrayError("cannot ask its server: Seldon's protocol carries one tensor")
        return [Call(self._path, orjson.dumps(messages[0]))]

    def _write(self, name: str, array: Array) -> dict[str, object]:
        if self._is_flat and array.dtype.kind != "O":
            flat = write_inputs({name: array.ravel()})[name]
            data: dict[str, object] = {"tensor": {"shape": list(array.shape), "values": flat}}
        else:
            data = {"ndarray": write_inputs({name: array})[name]}
        return {"data": {"names": self._names, **data}}

    def read(self, answers: Sequence[Answer], _inputs: Mapping[str, Array], /) -> Mapping[str, Array]:
        found = load_object(answers[0].body)
        output, declared = next(iter(self._asked.outputs.items()))
        return read_outputs({output: _read_data(found)}, {output: declared})


def _read_data(found: Mapping[str, Json]) -> Json:
    """Return the lists within lists of an answer."""
    if isinstance(text := found.get("strData"), str):
        return [text]
    data = found.get("data")
    if not isinstance(data, dict):
        raise AnswerError("answered without `data`")
    if "ndarray" in data:
        return data["ndarray"]
    tensor = data.get("tensor")
    if not isinstance(tensor, dict):
        raise AnswerError("answered with `data` that is neither `ndarray` nor `tensor`")
    return _reshape(tensor.get("values"), tensor.get("shape"))


def _reshape(values: Json, shape: Json) -> Json:
    if not isinstance(values, list) or not isinstance(shape, list):
        raise AnswerError("answered with a `tensor` without `values` and `shape`")
    sizes = [size for size in shape if type(size) is int and size >= 0]
    if len(sizes) != len(shape) or len(sizes) > 8 or int(np.prod(sizes, dtype=object)) != len(values):
        raise AnswerError("answered with a `tensor` whose `shape` is not that of its `values`")
    nested: Json = values
    for size in reversed(sizes[1:]):
        nested = [nested[at : at + size] for at in range(0, len(nested), size)] if size else []
    return nested
