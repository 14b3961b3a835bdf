"""How a graph is lowered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Level 0 makes every node a unit; level 1 runs together what no placement parts."""

    level: int = 1
