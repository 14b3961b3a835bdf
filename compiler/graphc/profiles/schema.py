"""The JSON Schema of a cluster profile, from the same models that read it."""

from typing import Final, cast

from graphc.profiles.fields import INGRESS_KINDS, ClusterProfile
from graphc.spec.schema import DIALECT, Schema, define

_INGRESS: Final = "what brings requests in"


def profile_schema() -> Schema:
    """Return the schema of a ClusterProfile, which completes and checks a file in an editor."""
    definitions = define([ClusterProfile, *INGRESS_KINDS.values()])
    for model in INGRESS_KINDS.values():
        definition = definitions[model.__name__]
        definition["required"] = sorted({"kind", *cast("list[str]", definition.get("required", []))})
    profile = definitions.pop("ClusterProfile")
    properties = cast("dict[str, Schema]", profile["properties"])
    properties["ingress"] = {
        "type": "object",
        "description": _INGRESS,
        "required": ["kind"],
        "properties": {"kind": {"enum": [*INGRESS_KINDS]}},
        # The kind decides, so that an editor names the one field that is wrong and not four kinds.
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{model.__name__}"},
            }
            for kind, model in INGRESS_KINDS.items()
        ],
    }
    said = {"title": "graphc ClusterProfile", "description": "What graphs find in a cluster."}
    schema: Schema = {"$schema": DIALECT} | profile | said
    schema["$defs"] = dict(sorted(definitions.items()))
    return schema
