"""The small values of a graph file: quantities, references, tensor types."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from graphc_components.tensors import TensorTypeError, parse_tensor_type

from graphc.compare.gates import CONFIDENCE, METRICS
from graphc.diagnostics.printable import quoted
from graphc.quantities import LARGEST, parse_quantity
from graphc.spec.declare import AfterValidator, BeforeValidator, WithJsonSchema

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)\Z")
_MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000}
_QUANTITY: Final = re.compile(r"[+]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?\Z")
SHORT: Final = ""
"""The name of a reference that stands alone, where several by name could."""
_REFERENCE: Final = re.compile(r"[^.\s]+(\..*\S)?\Z")


def show(value: object) -> str:
    """Return a value of a file in words, for a message."""
    match value:
        case None:
            return "an empty value"
        case bool():
            return f"`{str(value).lower()}`"
        case Mapping():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return quoted(str(value))


def _read_quantity(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise ValueError(f"{show(value)} is not a quantity such as `500m` or `2Gi`")
    if not parse_quantity(value) < LARGEST:
        raise ValueError(f"{show(value)} is more than Kubernetes counts: 2^63 - 1")
    return value


def _read_duration(value: object) -> object:
    """Return milliseconds."""
    found = _DURATION.match(value) if isinstance(value, str) else None
    length = round(float(found[1]) * _MILLISECONDS[found[2]]) if found else 0
    if length < 1:
        raise ValueError(f"{show(value)} is not a time such as `500ms` or `2s`")
    return length


def _read_memory(value: object) -> object:
    if isinstance(value, str) and value[-1:] in {"m", "u", "n"} and _QUANTITY.match(value):
        raise ValueError(
            f"`{value}` is less than a byte for each `{value[:-1]}`; `{value[:-1]}Mi` is mebibytes"
        )
    return value


def _read_type(value: str) -> str:
    try:
        return str(parse_tensor_type(value))
    except TensorTypeError as problem:
        raise ValueError(str(problem)) from problem


def _read_reference(value: object) -> object:
    if not isinstance(value, str) or not _REFERENCE.match(value):
        raise ValueError(f"{show(value)} does not name a tensor; write `input`, `node` or `node.tensor`")
    return value


def _read_outputs(value: object) -> object:
    """Call the one output of a short form `output`."""
    return {"output": value} if isinstance(value, str) else value


def _read_named(value: object) -> object:
    """Give every reference of `in:` a name: the key of a mapping, the index of a list, or nothing."""
    if isinstance(value, str):
        return {SHORT: value}
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, Mapping):
        return value  # pyright: ignore[reportUnknownVariableType]
    raise ValueError(f"{show(value)} is not a tensor, a list of tensors, or tensors by name")


def _read_take(value: object) -> object:
    message = f"{show(value)} is not a tensor, or tensors by name"
    if isinstance(value, str):
        return {SHORT: value}
    if isinstance(value, Mapping) and value:
        return value  # pyright: ignore[reportUnknownVariableType]
    raise ValueError(message)


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
Duration = Annotated[
    int,
    BeforeValidator(_read_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _DURATION.pattern.replace("\\Z", "$"),
            "description": "a time, such as 500ms or 2s",
        }
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
Memory = Annotated[Quantity, BeforeValidator(_read_memory)]
Reference = Annotated[str, BeforeValidator(_read_reference), WithJsonSchema(_REFERENCE_SCHEMA)]
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
Take = Annotated[
    dict[str, Reference],
    BeforeValidator(_read_take),
    WithJsonSchema(
        {
            "description": "the tensor to answer with, or several by name",
            "oneOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}],
        }
    ),
]


_GATES_SCHEMA: Final = {
    "description": "what has to hold before a version is promoted: bounds by metric",
    "type": "object",
    "properties": {
        **{name: {"type": ["string", "null"], "description": each.summary} for name, each in METRICS.items()},
        CONFIDENCE: {
            "type": "number",
            "minimum": 0.5,
            "exclusiveMaximum": 1,
            "description": "how sure a gate has to be; 0.95 where absent",
        },
    },
    "additionalProperties": False,
}
Promotion = Annotated[dict[str, object], WithJsonSchema(_GATES_SCHEMA)]


def _read_service(value: str) -> str:
    if not re.fullmatch(r"http://[^\s/?#]+", value):
        raise ValueError(f"`{value}` is not a service such as `http://graphc-compare.graphc-system`")
    return value


ServiceUrl = Annotated[str, AfterValidator(_read_service)]
