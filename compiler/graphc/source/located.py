"""A document as a tree of values; each knows its place in the file."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Final, cast

from graphc.diagnostics import Span
from graphc.records import record

Plain = bool | int | float | str | list["Plain"] | dict[str, "Plain"] | None
Path = Sequence[str | int]

NOWHERE: Final = Span("", 0, 0, 0, 0)
"""The place of what no file gave."""


@record
class Scalar:
    """A single value."""

    value: bool | int | float | str | None
    span: Span


@record
class Items:
    """A sequence of values."""

    items: tuple["Located", ...]
    span: Span


@record
class Entry:
    """One key of a mapping with its value."""

    key: str
    key_span: Span
    value: "Located"


@record
class Fields:
    """A mapping with unique string keys, in the order of the file."""

    entries: tuple[Entry, ...]
    span: Span
    _by_key: dict[str, Entry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Every place in a file is found through here: a search would make reading quadratic.
        object.__setattr__(self, "_by_key", {entry.key: entry for entry in reversed(self.entries)})

    def find(self, key: str) -> Entry | None:
        """Return the entry of that key, if there is one."""
        return self._by_key.get(key)


Located = Scalar | Items | Fields


def find_at(value: Located, *path: str) -> Located | None:
    """Return what stands at a path of keys, if there is anything."""
    for step in path:
        entry = value.find(step) if isinstance(value, Fields) else None
        if entry is None:
            return None
        value = entry.value
    return value


def to_plain(value: Located) -> Plain:
    """Return the value without its places."""
    match value:
        case Scalar():
            return value.value
        case Items():
            return [to_plain(item) for item in value.items]
        case Fields():
            return {entry.key: to_plain(entry.value) for entry in value.entries}


def place(value: object, span: Span) -> Located:
    """Return a value whose parts all stand at one place."""
    if isinstance(value, str):
        return Scalar(value, span)
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value).items()
        return Fields(tuple(Entry(key, span, place(each, span)) for key, each in entries), span)
    if isinstance(value, Sequence):
        return Items(tuple(place(each, span) for each in cast("Sequence[object]", value)), span)
    return Scalar(cast("bool | int | float | None", value), span)


def locate(root: Located, path: Path, *, key: bool = False) -> Span:
    """Return the place of the value at a path, or of its key; the nearest parent's where it is absent."""
    current, span = root, root.span
    for step in path:
        if isinstance(current, Fields) and isinstance(step, str) and (entry := current.find(step)):
            current = entry.value
            span = entry.key_span if key else current.span
        elif isinstance(current, Items) and str(step).isdecimal() and int(step) < len(current.items):
            current = current.items[int(step)]
            span = current.span
        else:
            break
    return span
