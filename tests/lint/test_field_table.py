"""The table of fields says what the CRD says; only the table is shipped."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypedDict

import pytest
from graphc.lint.schema import FieldType, ListOf, MapOf, Named, Record, records

CRD: Final = Path(__file__).parents[3] / "shared" / "seldon" / "seldondeployment-crd.json"

Schema = TypedDict(
    "Schema",
    {
        "type": str,
        "format": str,
        "pattern": str,
        "items": "Schema",
        "properties": "dict[str, Schema]",
        "additionalProperties": "Schema",
        "required": list[str],
        "x-kubernetes-int-or-string": bool,
    },
    total=False,
)


def read_versions() -> list[dict[str, Schema]]:
    if not CRD.exists():
        pytest.skip("the CRD is not here: it is the cluster's, and is not ours to ship")
    crd = json.loads(CRD.read_text())
    return [version["schema"]["openAPIV3Schema"]["properties"] for version in crd["spec"]["versions"]]


def scalar(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity" if "pattern" in schema else "int-or-text"
    kind = {"string": "text", "boolean": "bool"}.get(schema.get("type", ""), schema.get("format", "int64"))
    return "time" if schema.get("format") == "date-time" else kind


def from_crd(schema: Schema, path: str) -> Iterator[str]:
    """Every path below a schema with its type, as lines that can be compared."""
    if "items" in schema:
        yield from from_crd(schema["items"], f"{path}[]")
    elif "additionalProperties" in schema:
        yield from from_crd(schema["additionalProperties"], f"{path}{{}}")
    elif schema.get("type") == "object":
        yield f"{path}: mapping"
        for name, field in schema.get("properties", {}).items():
            mark = "!" if name in schema.get("required", ()) else ""
            yield from from_crd(field, f"{path}.{name}{mark}")
    else:
        yield f"{path}: {scalar(schema)}"


def from_table(type_: FieldType, path: str, level: int) -> Iterator[str]:
    match type_:
        case ListOf():
            yield from from_table(type_.item, f"{path}[]", level)
        case MapOf():
            yield from from_table(type_.value, f"{path}{{}}", level)
        case Named() if type_.name in records() or type_.name == "object":
            yield f"{path}: mapping"
            record = records().get(type_.name, Record("object", {}))
            below = level + 1 if type_.name == "Unit" else level
            for name, field in record.at_level(below).fields.items():
                yield from from_table(field.type, f"{path}.{name}{'!' if field.required else ''}", below)
        case Named():
            yield f"{path}: {type_.name}"


@pytest.mark.parametrize("part", ["spec", "status"])
def test_the_table_is_the_crd(part: str) -> None:
    own = sorted(from_table(records()["SeldonDeployment"].fields[part].type, part, 0))
    for version in read_versions():
        assert own == sorted(from_crd(version[part], part))


def test_every_type_of_the_table_is_known() -> None:
    scalars = {"text", "bool", "int32", "int64", "quantity", "int-or-text", "time", "anything", "object"}
    named = {
        name
        for record in records().values()
        for field in record.fields.values()
        for name in names(field.type)
    }
    assert named <= scalars | set(records())
    assert set(records()) - named == {"SeldonDeployment"}


def names(type_: FieldType) -> Iterator[str]:
    match type_:
        case Named():
            yield type_.name
        case ListOf():
            yield from names(type_.item)
        case MapOf():
            yield from names(type_.value)
