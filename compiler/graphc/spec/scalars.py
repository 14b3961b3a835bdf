"""The small values of a graph file: quantities, references, tensor types."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from graphc_components.tensors import TensorTypeError, parse_tensor_type
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_QUANTITY: Final = re.compile(r"[+]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?\Z")
_REFERENCE: Final = re.compile(r"[^.\s]+(\..*\S)?\Z")


def _read_quantity(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and not _QUANTITY.match(value):
        raise ValueError(f"`{value}` is not a quantity such as `500m` or `2Gi`")
    return value


def _read_type(value: str) -> str:
    try:
        return str(parse_tensor_type(value))
    except TensorTypeError as problem:
        raise ValueError(str(problem)) from problem


def _read_reference(value: str) -> str:
    if not _REFERENCE.match(value):
        raise ValueError(f"`{value}` does not name a tensor; write `input`, `node` or `node.tensor`")
    return value


def _read_outputs(value: object) -> object:
    """Call the one output of a short form `output`."""
    return {"output": value} if isinstance(value, str) else value


def _read_named(value: object) -> object:
    """Give every reference of `in:` a name: the key of a mapping, the index of a list, or nothing."""
    if isinstance(value, str):
        return {"": value}
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, Mapping):
        return value  # pyright: ignore[reportUnknownVariableType]
    raise ValueError("expected a reference, a list of references, or references by name")


_REFERENCE_SCHEMA: Final = {"type": "string", "description": "`input`, `node`, or `node.tensor`"}

_TYPE_SCHEMA: Final = {
    "type": "string",
    "description": "a datatype and a shape, such as FP32[batch, 30]",
    "pattern": r"^\s*(BOOL|U?INT(8|16|32|64)|FP(16|32|64)|BYTES)\s*\[.+\]\s*$",
}

Quantity = Annotated[
    str,
    BeforeValidator(_read_quantity),
    WithJsonSchema(
        {"type": ["string", "number"], "description": "a Kubernetes quantity, such as 500m or 2Gi"}
    ),
]
TypeText = Annotated[
    str,
    AfterValidator(_read_type),
    WithJsonSchema(_TYPE_SCHEMA),
]
Outputs = Annotated[
    dict[str, TypeText],
    BeforeValidator(_read_outputs),
    WithJsonSchema(
        {
            "description": "the outputs' types by name, or one type for an output called `output`",
            "oneOf": [
                _TYPE_SCHEMA,
                {"type": "object", "additionalProperties": _TYPE_SCHEMA, "minProperties": 1},
            ],
        }
    ),
]
Reference = Annotated[str, AfterValidator(_read_reference), WithJsonSchema(_REFERENCE_SCHEMA)]
References = Annotated[
    dict[str, Reference],
    BeforeValidator(_read_named),
    WithJsonSchema(
        {
            "description": "the tensors that the node reads",
            "oneOf": [
                _REFERENCE_SCHEMA,
                {"type": "array", "items": _REFERENCE_SCHEMA, "minItems": 1},
                {"type": "object", "additionalProperties": _REFERENCE_SCHEMA, "minProperties": 1},
            ],
        }
    ),
]
