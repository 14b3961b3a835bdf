"""How a graph is lowered."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Measured = Mapping[str, Mapping[str, float]]
"""Milliseconds by graph and node."""


@dataclass(frozen=True, slots=True)
class Options:
    """Level 0 makes every node a unit; level 1 parts and joins what no placement decides, by predicted time."""

    level: int = 1
    measured: Measured = field(default_factory=dict[str, Mapping[str, float]])
    batch: int = 1
    """Rows of the request for which bytes are counted."""
