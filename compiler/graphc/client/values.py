"""Read an input's values out of JSON."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import cast

from graphc.client.failure import InferError
from graphc.client.tensor import MAX_RANK, Array, Leaf, make_array, reshape_to


def parse_json(text: str, source: str) -> object:
    """Return the value of a JSON text; raises InferError."""
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InferError(f"{source} is not JSON: {error}") from error


def array_of_json(value: object, name: str) -> Array:
    """Return nested lists, or the tensor of a V2 request, as an array; raises InferError."""
    if isinstance(value, dict):
        return _array_of_tensor(cast("dict[str, object]", value), name)
    shape = _measure(value)
    return make_array(_flatten(value, shape, name), shape, name)


def tensors_of_json(value: object) -> dict[str, Array]:
    """Return all tensors of a V2 request, or of a mapping from names to values; raises InferError."""
    if not isinstance(value, dict):
        raise InferError("a JSON file without a name has to hold a V2 request, or a mapping by input")
    fields = cast("dict[str, object]", value)
    if isinstance(fields.get("inputs"), list):
        return {_name_of(each): array_of_json(each, _name_of(each)) for each in _inputs(fields)}
    return {name: array_of_json(each, name) for name, each in fields.items()}


def _inputs(fields: Mapping[str, object]) -> list[Mapping[str, object]]:
    items = cast("list[object]", fields["inputs"])
    return [cast("dict[str, object]", each) for each in items if isinstance(each, dict)]


def _name_of(tensor: Mapping[str, object]) -> str:
    return str(tensor.get("name", ""))


def _array_of_tensor(fields: Mapping[str, object], name: str) -> Array:
    if isinstance(fields.get("inputs"), list):
        found = next((each for each in _inputs(fields) if _name_of(each) == name), None)
        if found is None:
            raise InferError(f"the request has no input `{name}`")
        fields = found
    if "data" not in fields:
        raise InferError(f"input `{name}` is a JSON object without `data`")
    array = array_of_json(fields["data"], name)
    parameters = fields.get("parameters")
    if isinstance(parameters, dict) and cast("dict[str, object]", parameters).get("content_type") == "base64":
        array = _decode(array, name)
    shape = fields.get("shape")
    if not isinstance(shape, list):
        return array
    shaped = reshape_to(array, cast("list[object]", shape))
    if shaped is None:
        raise InferError(f"input `{name}` has {array.size} values, which do not make its shape {shape}")
    return shaped


def _decode(array: Array, name: str) -> Array:
    try:
        texts = cast("list[bytes]", array.ravel().tolist())
        leaves: list[Leaf] = [base64.b64decode(each, validate=True) for each in texts]
    except (binascii.Error, ValueError, TypeError) as error:
        raise InferError(f"input `{name}` is not base64") from error
    return make_array(leaves, array.shape, name)


def _measure(value: object) -> list[int]:
    shape = list[int]()
    while isinstance(value, list) and len(shape) < MAX_RANK:
        items = cast("list[object]", value)
        shape.append(len(items))
        value = items[0] if items else None
    return shape


def _flatten(value: object, shape: list[int], name: str) -> list[Leaf]:
    level: list[object] = [value]
    for size in shape:
        if any(not isinstance(each, list) or len(cast("list[object]", each)) != size for each in level):
            raise InferError(f"input `{name}` has rows of different lengths")
        level = [item for each in cast("list[list[object]]", level) for item in each]
    if any(not isinstance(each, bool | int | float | str | None) for each in level):
        raise InferError(f"input `{name}` has rows of different lengths")
    return cast("list[Leaf]", level)
