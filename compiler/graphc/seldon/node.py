"""A part of a manifest: fields by name, as the API server reads them, each with its place if a file gave it."""

from collections.abc import Iterator, Mapping
from typing import Final

from graphc.diagnostics import Span
from graphc.records import record
from graphc.source.located import NOWHERE, Fields, Items, Located, Plain, Scalar, place, to_plain


@record
class ManifestNode:
    """A value with its place; what is of another type than asked for counts as absent."""

    value: Located

    @property
    def plain(self) -> Plain:
        """Return the value without its places."""
        return to_plain(self.value)

    @property
    def span(self) -> Span:
        """Return where the value stands."""
        return self.value.span

    def find(self, key: str) -> "ManifestNode | None":
        """Return a field; `null` is none, as the API server drops it."""
        entry = self.value.find(key) if isinstance(self.value, Fields) else None
        if entry is None or (isinstance(entry.value, Scalar) and entry.value.value is None):
            return None
        return ManifestNode(entry.value)

    def has(self, key: str) -> bool:
        """Say whether there is such a field."""
        return self.find(key) is not None

    def child(self, key: str) -> "ManifestNode":
        """Return a field, or nothing at this place."""
        return self.find(key) or ManifestNode(Fields((), self.span))

    def at(self, key: str) -> Span:
        """Return where a field's value stands, or the whole where there is none."""
        found = self.find(key)
        return found.span if found else self.span

    def key_at(self, key: str) -> Span:
        """Return where a field's key stands, or the whole where there is none."""
        entry = self.value.find(key) if isinstance(self.value, Fields) else None
        return entry.key_span if entry else self.span

    @property
    def is_mapping(self) -> bool:
        """Say whether the value has fields."""
        return isinstance(self.value, Fields)

    @property
    def is_nothing(self) -> bool:
        """Say whether the value is `null`."""
        return isinstance(self.value, Scalar) and self.value.value is None

    @property
    def as_text(self) -> str | None:
        """Return a text."""
        value = self.value.value if isinstance(self.value, Scalar) else None
        return value if isinstance(value, str) else None

    @property
    def as_int(self) -> int | None:
        """Return an integer; `1.0` is one."""
        value = self.value.value if isinstance(self.value, Scalar) else None
        if isinstance(value, bool):
            return None
        return int(value) if isinstance(value, int | float) and value == value // 1 else None

    def text(self, key: str) -> str:
        """Return a field's text, empty where there is none."""
        found = self.find(key)
        return (found.as_text if found else None) or ""

    def number(self, key: str) -> int | None:
        """Return a field's integer."""
        found = self.find(key)
        return found.as_int if found else None

    def flag(self, key: str) -> bool:
        """Say whether a field is true."""
        found = self.find(key)
        return found is not None and isinstance(found.value, Scalar) and found.value.value is True

    def items(self, key: str) -> tuple["ManifestNode", ...]:
        """Return the items of a list."""
        found = self.find(key)
        return tuple(map(ManifestNode, found.value.items)) if found and isinstance(found.value, Items) else ()

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the texts among the items of a list."""
        return tuple(each.as_text for each in self.items(key) if each.as_text is not None)

    def keys(self) -> Iterator[tuple[str, Span]]:
        """Yield a mapping's keys with their places."""
        if isinstance(self.value, Fields):
            yield from ((entry.key, entry.key_span) for entry in self.value.entries)

    def texts(self, key: str) -> Mapping[str, str]:
        """Return a mapping of texts."""
        found = self.child(key)
        return {name: found.text(name) for name, _ in found.keys() if found.has(name)}  # noqa: SIM118 - not a dict


NOTHING: Final = ManifestNode(Fields((), NOWHERE))
"""No fields, at no place."""


def node_of(value: object) -> ManifestNode:
    """Return what came without places: as JSON from an API server, or as graphc compiled it."""
    return ManifestNode(place(value, NOWHERE))
