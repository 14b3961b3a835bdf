"""What a picture shows, before anything is known of its format: boxes, arrows between them, and frames around them."""

from collections.abc import Mapping
from dataclasses import field
from typing import Final, Literal

from graphc.diagnostics import Span
from graphc.records import record

Change = Literal["added", "removed", "changed"]
"""What became of a part, in a picture of a change; in other pictures parts have none."""
SIGNS: Final[Mapping[Change, str]] = {"added": "+", "removed": "-", "changed": "~"}
"""The sign of each, so that no colour alone tells it."""

Kind = Literal["input", "output", "model", "component", "python", "server", "choice"]
"""What a box stands for; `choice` is what decides for others: a router, a cascade, a merge of their branches."""


@record
class Box:
    """One box: `origin` is what it is called in the file, by which pictures of one graph find each other's boxes."""

    id: str
    title: str
    subtitle: str
    kind: Kind
    origin: str
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    at: Span | None = None
    is_slow: bool = False
    """Whether it is on the slowest way through the plan."""
    change: Change | None = None
    words: tuple[str, ...] = ()
    """What changed in it."""


@record
class Arrow:
    """The tensors that go from one box to another, each with its type; a choice only decides what runs."""

    source: str
    target: str
    tensors: tuple[str, ...]
    is_choice: bool = False
    change: Change | None = None


@record
class Frame:
    """What some boxes have in common: the unit that they run in."""

    id: str
    title: str
    members: tuple[str, ...]
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    is_slow: bool = False
    change: Change | None = None
    words: tuple[str, ...] = ()


@record
class Told:
    """One change in words."""

    change: Change
    text: str

    @property
    def line(self) -> str:
        """The change with its sign."""
        return f"{SIGNS[self.change]} {self.text}"


@record
class Drawing:
    """A picture; one of a change tells in words, too, what changes."""

    title: str
    subtitle: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    frames: tuple[Frame, ...] = ()
    told: tuple[Told, ...] | None = None
    """The changes; None where the picture is not one of a change."""
