"""How a graph is lowered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Level 0 makes every node a unit; 1 runs together what no placement parts; 2 also merges ONNX models."""

    level: int = 1
    room: int | None = None
    """How many bytes a merged model may have; None where a store takes any."""
