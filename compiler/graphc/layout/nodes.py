"""A YAML text as it is written: its values with their style, and its comments, each with its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from graphc.records import record


@record
class Place:
    """Where something begins: its index in the text, its line and its column, all from 0."""

    index: int
    line: int
    column: int


@record
class Comment:
    """A comment from its `#` to the end of its line; `alone` says that nothing stands before it there."""

    text: str
    at: Place
    alone: bool


@record
class Written:
    """A scalar or an alias: its anchor and tag, its text as it stands in the file, and what that means."""

    at: Place
    end: int
    properties: str
    text: str
    style: Literal["plain", "quoted", "block", "alias"]
    value: str = ""

    @property
    def begin(self) -> int:
        """The index at which the text begins, behind anchor and tag."""
        return self.end - len(self.text)


@dataclass(slots=True)
class Collection:
    """A mapping or a list; `marks` are the places of a list's dashes."""

    at: Place
    properties: str
    is_mapping: bool
    is_flow: bool
    """Whether it stands in brackets."""
    is_opened: bool = False
    """Whether it stood in brackets, and is written as a block."""
    end: int = 0
    end_line: int = 0
    items: list["Node"] = field(default_factory=list["Node"])
    """Of a mapping, keys and values by turns."""
    marks: list[Place] = field(default_factory=list[Place])

    @property
    def begin(self) -> int:
        """The index at which it begins."""
        return self.at.index

    @property
    def entries(self) -> Sequence[tuple["Node | None", "Node", Place]]:
        """The entries: the key, of which a list has none, the value, and where the entry begins."""
        if self.is_mapping:
            pairs = zip(self.items[::2], self.items[1::2], strict=True)
            return [(key, value, key.at) for key, value in pairs]
        return [(None, item, mark) for item, mark in zip(self.items, self.marks, strict=True)]


Node = Written | Collection


@record
class Document:
    """One document: where it begins, whether a `---` says so, and what `%YAML` says."""

    root: Node
    begin: int
    is_marked: bool
    version: str


@record
class Text:
    """A whole text."""

    lines: Sequence[str]
    documents: Sequence[Document]
    comments: Sequence[Comment]
