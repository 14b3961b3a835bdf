"""Checks a manifest against the fields that the API server knows, as strictly as `kubectl apply` does."""

import re
from collections.abc import Iterator
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.manifests import (
    FIELD_MISSING,
    FIELD_TYPE,
    QUANTITY,
    REPEATED_ENTRY,
    TOO_DEEP,
    UNKNOWN_FIELD,
)
from graphc.diagnostics.printable import quoted
from graphc.diagnostics.suggest import did_you_mean
from graphc.lint.schema import (
    DEEPEST,
    LATEST,
    ROOT,
    UNIT,
    FieldType,
    ListOf,
    MapOf,
    Named,
    Record,
    records,
)
from graphc.lint.words import parse_quantity
from graphc.seldon.node import ManifestNode
from graphc.source.located import Entry, Fields, Items, Located, Scalar

_INT32: Final = 2**31
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_NOUNS: Final = {
    "text": "a text",
    "bool": "true or false",
    "int32": "an integer",
    "int64": "an integer",
    "int-or-text": "an integer or a text",
    "quantity": "an integer or a text",
    "time": "a time such as `2024-05-01T12:00:00Z`",
}
_KEYS: Final = {
    "ports": ("containerPort", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists whose items the API server tells apart by these fields."""
_FALLBACKS: Final = {"protocol": "TCP"}


def check_fields(root: Fields, sink: Sink, version: str | None = None) -> None:
    """Report fields that are unknown to a version of Seldon Core, missing, repeated or of another type."""
    for problem in _record(root, records(version)[ROOT], 0, version):
        sink.report(problem)


def _record(value: Fields, record: Record, level: int, version: str | None) -> Iterator[Diagnostic]:
    for entry in value.entries:
        field = record.fields.get(entry.key)
        if field is None:
            yield _unknown(entry, record, level, version)
        elif not _is_null(entry.value) or entry.key == "creationTimestamp":
            yield from _value(entry.value, field.type, entry.key, level, version)
    for name, field in record.fields.items():
        if field.required and not ManifestNode(value).has(name):
            yield Diagnostic(FIELD_MISSING, f"{record.noun} needs the field `{name}`", value.span)


def _unknown(entry: Entry, record: Record, level: int, version: str | None) -> Diagnostic:
    if record.name == UNIT and entry.key == "children" and level >= DEEPEST:
        message = f"units nest here more than {DEEPEST} levels deep"
        return Diagnostic(TOO_DEEP, message, entry.key_span, "serve part of the graph as one unit")
    latest = records(LATEST).get(record.name)
    if latest is not None and entry.key in latest.fields:
        told = "" if version else f'; say so in a profile where it is there: `seldon: "{LATEST}"`'
        hint = f"Seldon Core {LATEST} knows it{told}"
    else:
        hint = did_you_mean(entry.key, record.fields)
    return Diagnostic(UNKNOWN_FIELD, f"{record.noun} has no field {quoted(entry.key)}", entry.key_span, hint)


def _value(
    value: Located, type_: FieldType, name: str, level: int, version: str | None
) -> Iterator[Diagnostic]:
    match type_:
        case ListOf():
            yield from _list(value, type_, name, level, version)
        case MapOf():
            yield from _map(value, type_, name, version)
        case Named("anything"):
            return
        case Named() if type_.name in records(version) or type_.name == "object":
            yield from _mapping(value, type_, name, level, version)
        case Named():
            yield from _scalar(value, type_.name, name)


def _mapping(
    value: Located, type_: Named, name: str, level: int, version: str | None
) -> Iterator[Diagnostic]:
    if not isinstance(value, Fields):
        yield _other_type(value, name, "a mapping")
        return
    record = records(version).get(type_.name, Record(name, {}))
    below = level + 1 if type_.name == UNIT else 0
    yield from _record(value, record.at_level(below), below, version)


def _list(value: Located, type_: ListOf, name: str, level: int, version: str | None) -> Iterator[Diagnostic]:
    if not isinstance(value, Items):
        yield _other_type(value, name, "a list")
        return
    for item in value.items:
        yield from _value(item, type_.item, name, level, version)
    yield from _repeated(value, name)


def _repeated(value: Items, name: str) -> Iterator[Diagnostic]:
    keys = _KEYS.get(name)
    if keys is None:
        return
    seen: set[tuple[str, ...]] = set()
    for item in map(ManifestNode, value.items):
        own = tuple(_identity(item, key) for key in keys)
        if own in seen:
            words = " and ".join(f"`{key}`" for key in keys)
            yield Diagnostic(REPEATED_ENTRY, f"`{name}` has this entry twice: the same {words}", item.span)
        seen.add(own)


def _identity(item: ManifestNode, key: str) -> str:
    found = item.find(key)
    value = found.value.value if found and isinstance(found.value, Scalar) else None
    return _FALLBACKS.get(key, "") if value is None else str(value)


def _map(value: Located, type_: MapOf, name: str, version: str | None) -> Iterator[Diagnostic]:
    if not isinstance(value, Fields):
        yield _other_type(value, name, "a mapping")
        return
    for entry in value.entries:
        if not _is_null(entry.value):
            yield from _value(entry.value, type_.value, entry.key, 0, version)


def _scalar(value: Located, type_: str, name: str) -> Iterator[Diagnostic]:
    if type_ == "time" and _is_null(value):
        return
    if not isinstance(value, Scalar) or not _fits(ManifestNode(value), type_):
        yield _other_type(value, name, _NOUNS[type_])
    elif type_ == "quantity" and isinstance(value.value, str) and parse_quantity(value.value) is None:
        message = f"{quoted(value.value)} is not a quantity"
        yield Diagnostic(QUANTITY, message, value.span, "write a number such as `500m`, `2` or `4Gi`")


def _fits(node: ManifestNode, type_: str) -> bool:
    number, text = node.as_int, node.as_text
    match type_:
        case "text":
            return text is not None
        case "bool":
            return isinstance(node.value, Scalar) and isinstance(node.value.value, bool)
        case "int32":
            return number is not None and -_INT32 <= number < _INT32
        case "int64":
            return number is not None
        case "time":
            return text is not None and _TIME.fullmatch(text) is not None
        case _:
            return number is not None or text is not None


def _other_type(value: Located, name: str, wanted: str) -> Diagnostic:
    return Diagnostic(
        FIELD_TYPE, f"{quoted(name)} is {_noun(value)}, not {wanted}", value.span, _hint(value, wanted)
    )


def _noun(value: Located) -> str:
    if isinstance(value, Fields):
        return "a mapping"
    if isinstance(value, Items):
        return "a list"
    if value.value is None:
        return "null"
    if isinstance(value.value, bool):
        return "true or false"
    return "a text" if isinstance(value.value, str) else "a number"


def _hint(value: Located, wanted: str) -> str | None:
    is_quotable = isinstance(value, Scalar) and wanted == "a text" and value.value is not None
    return "put the value in quotes" if is_quotable else None


def _is_null(value: Located) -> bool:
    return isinstance(value, Scalar) and value.value is None
