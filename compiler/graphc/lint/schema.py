"""The fields that the API server knows, read from a table of names and types."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

ROOT: Final = "SeldonDeployment"
UNIT: Final = "Unit"
DEEPEST: Final = 11
"""Levels of units, the root included; the deepest one knows no field `children`."""

_FIELD: Final = re.compile(r"([A-Za-z_0-9]+)(!?) (\S+)")


@dataclass(frozen=True, slots=True)
class Named:
    """A scalar type, or a record by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    item: "FieldType"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping with keys of the user's own."""

    value: "FieldType"


FieldType = Named | ListOf | MapOf


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record."""

    type: FieldType
    required: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known fields."""

    name: str
    fields: Mapping[str, Field]

    @property
    def noun(self) -> str:
        """Return what a message calls such a record."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", self.name).split()
        text = " ".join(word if word.isupper() else word.lower() for word in words)
        sounds_open = text[0] in "aeio" or text.startswith(("HTTP", "HPA", "NFS", "FC"))
        return f"an {text}" if sounds_open else f"a {text}"

    def at_level(self, level: int) -> "Record":
        """Return the record as it is that many levels of its kind deep."""
        if self.name != UNIT or level < DEEPEST:
            return self
        return Record(self.name, {name: each for name, each in self.fields.items() if name != "children"})


LATEST: Final = "1.19"
"""The version of Seldon Core that knows more fields than those before."""


@cache
def records(version: str | None = None) -> Mapping[str, Record]:
    """Return every record by its name, as a version of Seldon Core knows it, or as all do."""
    known = {record.name: record for record in _read_table("fields.txt")}
    for more in _read_table(f"fields-{LATEST}.txt") if version == LATEST else ():
        before = known.get(more.name, Record(more.name, {}))
        known[more.name] = Record(more.name, {**before.fields, **more.fields})
    return known


def _read_table(name: str) -> Iterator[Record]:
    return _read(files("graphc.lint").joinpath(name).read_text("utf-8"))


def _read(text: str) -> Iterator[Record]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in re.sub(r"\n +", " ", lines).splitlines():
        name, _, fields = line.partition(": ")
        if fields:
            found = _FIELD.findall(fields.replace(",", ""))
            yield Record(name, {each: Field(_type(type_), bool(mark)) for each, mark, type_ in found})


def _type(text: str) -> FieldType:
    match text[0]:
        case "[":
            return ListOf(_type(text[1:-1]))
        case "{":
            return MapOf(_type(text[1:-1]))
        case _:
            return Named(text)
