"""What units, and the tree of them, may be on what runs them: a target declares it, and planning keeps it.

So neither the front end nor planning knows a target.
"""

from dataclasses import field
from typing import Final

from graphc.records import record

DEEPEST: Final = 64
"""The levels of a tree that graphc's own engine walks."""

LABEL: Final = 63
"""The characters of a label in Kubernetes, and of a Service's name."""


@record
class Most:
    """A greatest number, and what has no more, in words for messages."""

    count: int
    of: str


@record
class Limits:
    """The limits of what runs a graph; without any, those of graphc's own engine in Kubernetes."""

    levels: Most = field(default_factory=lambda: Most(DEEPEST, "graphc's engine"))
    """How deep the tree of units may be."""
    files: Most | None = None
    """The bytes of a node's files that travel without a store; None where any do."""
    alone: str | None = None
    """Why one unit is better than several that are faster, in words that end a sentence; None where it is not."""
    entrance: str | None = None
    """Why a unit has to stand before a fork that begins a tree, likewise; None where none has to."""
    calls_in_sequence: bool = False
    """Whether a call over gRPC passes only trees whose units run one after another."""
    walker: str = "the engine"
    """What walks the tree, in words."""
    operator: str | None = None
    """What sets variables of containers beside graphc, in words."""
    variables: frozenset[str] = frozenset()
    """The variables that it sets."""
    unit_name: int = LABEL
    """The characters of a graph's, a node's and a unit's name."""
