"""The JSON Schema of a graph file, from the same models that read it."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from graphc_components.catalog import CATALOG
from graphc_components.parameters import parameters_schema
from pydantic.json_schema import models_json_schema

from graphc.spec.declare import Spec
from graphc.spec.examine import model_of
from graphc.spec.fields import NODE_KINDS, InferenceGraph, Predictor

Schema = dict[str, object]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_USE: Final[Schema] = {
    "type": "string",
    "pattern": r"^\$\{[A-Za-z_][\w-]*\}$",
    "description": "a declared parameter",
}
_DECLARATION: Final[Schema] = {
    "description": "a default, or more of it",
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        {
            "type": "object",
            "properties": {
                "default": {"type": ["string", "number", "boolean"]},
                "env": {"type": "string", "description": "the environment variable that may set it"},
                "type": {"enum": ["string", "number", "integer", "boolean"]},
                "description": {"type": "string"},
            },
            "additionalProperties": False,
        },
    ],
}


def define(models: Sequence[type[Spec]]) -> dict[str, Schema]:
    """Return the schema of each model, and of those that they hold, by its name."""
    _, whole = models_json_schema([(model_of(model), "validation") for model in models], by_alias=True)
    return cast("dict[str, Schema]", whole["$defs"])


def graph_schema() -> Schema:
    """Return the schema of an InferenceGraph, which completes and checks a file in an editor."""
    models = [InferenceGraph, Predictor, *NODE_KINDS.values()]
    named, whole = models_json_schema([(model_of(model), "validation") for model in models], by_alias=True)
    definitions: dict[str, Schema] = whole["$defs"]
    for kind, model in NODE_KINDS.items():
        _describe_kind(definitions[_name(named[(model_of(model), "validation")])], kind)
    _describe_components(definitions["Component"])
    definitions["AnyNode"] = _any_node()
    graph = definitions.pop("InferenceGraph")
    properties = _mapping(graph, "properties")
    _mapping(properties, "nodes")["additionalProperties"] = {"$ref": "#/$defs/AnyNode"}
    properties["parameters"] = {
        "type": "object",
        "description": "names for `${name}`, set by --set or the environment",
        "additionalProperties": _DECLARATION,
    }
    schema: Schema = {"$schema": DIALECT, "title": "graphc InferenceGraph"} | graph
    schema["$defs"] = dict(sorted(definitions.items()))
    return _allow_uses(schema)


def _name(reference: Mapping[str, object]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _mapping(schema: Schema, key: str) -> Schema:
    return cast("Schema", schema[key])


def _describe_kind(definition: Schema, kind: str) -> None:
    required = cast("list[str]", definition.get("required", []))
    definition["required"] = sorted({kind, *required})


def _describe_components(definition: Schema) -> None:
    """Let the component's name decide which parameters it takes."""
    names = [{"const": name, "description": entry.summary} for name, entry in CATALOG.items()]
    _mapping(definition, "properties")["component"] = {
        "description": "its name in the catalog",
        "oneOf": names,
    }
    definition["allOf"] = [
        {
            "if": {"properties": {"component": {"const": name}}, "required": ["component"]},
            "then": {"properties": {"parameters": parameters_schema(entry)}},
        }
        for name, entry in CATALOG.items()
    ]


def _any_node() -> Schema:
    return {
        "type": "object",
        "description": "a node: one of " + ", ".join(NODE_KINDS),
        "anyOf": [{"required": [kind]} for kind in NODE_KINDS],
        "allOf": [
            {"if": _is_of(kind), "then": {"$ref": f"#/$defs/{model.__name__}"}}
            for kind, model in NODE_KINDS.items()
        ],
    }


def _is_of(kind: str) -> Schema:
    # A server has a model without being one.
    others: Schema = {"not": {"required": ["server"]}} if kind == "model" else {}
    return {"required": [kind]} | others


def _allow_uses(schema: Schema) -> Schema:
    """Let a `${name}` stand wherever a number or boolean does."""
    return cast("Schema", _walk(schema))


def _walk(value: object) -> object:
    if isinstance(value, list):
        return [_walk(each) for each in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    walked: Schema = {key: _walk(each) for key, each in cast("Schema", value).items()}
    if walked.get("type") in ["integer", "number", "boolean"]:
        kept = {key: walked.pop(key) for key in ("description", "title", "default") if key in walked}
        return kept | {"anyOf": [walked, _USE]}
    return walked
