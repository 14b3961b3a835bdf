"""What a picture shows, before anything is known of its format: boxes, arrows between them, and frames around them."""

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from graphc.diagnostics import Span
from graphc.records import record

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


@record
class Arrow:
    """The tensors that go from one box to another, each with its type; a choice only decides what runs."""

    source: str
    target: str
    tensors: tuple[str, ...]
    is_choice: bool = False


@record
class Frame:
    """What some boxes have in common: the unit that they run in."""

    id: str
    title: str
    members: tuple[str, ...]
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    is_slow: bool = False


@record
class Drawing:
    """A picture."""

    title: str
    subtitle: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    frames: tuple[Frame, ...] = ()
