"""How a graph is lowered."""

from collections.abc import Callable, Mapping
from dataclasses import field

from graphc.graph import Graph
from graphc.plan import Plan
from graphc.records import record

Measured = Mapping[str, Mapping[str, float]]
"""Milliseconds by graph and node."""
Watch = Callable[[Graph | Plan], None]


def _look_away(_: Graph | Plan) -> None:
    pass


@record
class Options:
    """Level 0 makes every node a unit, 1 parts and joins by predicted time, 2 also merges ONNX models."""

    level: int = 1
    measured: Measured = field(default_factory=dict[str, Mapping[str, float]])
    batch: int = 1
    """Rows of the request for which bytes are counted."""
    room: int | None = None
    """How many bytes a merged model may have; None where a store takes any."""
    keeps_one: bool = False
    """Whether one unit is better than any number that is faster: several need the executor, which cannot run."""
    watch: Watch = _look_away
    """Is shown what each pass made, and every plan that was tried: tests look there for faults."""
