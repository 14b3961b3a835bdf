"""Walks a part of a manifest by the records that the API server sees in it."""

from collections.abc import Iterator

from graphc.lint.schema import FieldType, ListOf, MapOf, Named, Record, records
from graphc.seldon.node import ManifestNode
from graphc.source.located import Fields, Items, Scalar


def visit(node: ManifestNode, name: str) -> Iterator[tuple[Record, ManifestNode]]:
    """Yield the record of that name, and all records below it."""
    record = records().get(name)
    if record is None or not isinstance(node.value, Fields):
        return
    yield record, node
    for field, described in record.fields.items():
        if found := node.find(field):
            yield from _below(found, described.type)


def _below(node: ManifestNode, type_: FieldType) -> Iterator[tuple[Record, ManifestNode]]:
    match type_:
        case Named():
            yield from visit(node, type_.name)
        case ListOf():
            for item in scalars_or_items(node):
                yield from _below(item, type_.item)
        case MapOf():
            for key, _ in node.keys():  # noqa: SIM118 - not a dict
                yield from _below(node.child(key), type_.value)


def scalars_or_items(node: ManifestNode) -> tuple[ManifestNode, ...]:
    """Return a list's items, or a single value as the only one."""
    if isinstance(node.value, Items):
        return tuple(map(ManifestNode, node.value.items))
    return (node,) if isinstance(node.value, Scalar) else ()
