"""How a graph is lowered."""

from collections.abc import Callable, Mapping
from dataclasses import field

from graphc.gpus.pools import Pool
from graphc.ir.graph import Graph, Resources
from graphc.ir.limits import Limits, Most
from graphc.ir.plan import Plan
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
    room: Most | None = None
    """How many bytes a merged model may have; None where a store takes any."""
    limits: Limits = field(default_factory=Limits)
    """What runs the plan, as far as it limits it."""
    pools: tuple[Pool, ...] | None = None
    """The nodes of the cluster; None where nothing is known of them."""
    given: Resources | None = None
    """What a unit gets that says nothing of it."""
    workers: int = 1
    """The processes of such a unit."""
    watch: Watch = _look_away
    """Is shown what each pass made, and every plan that was tried: tests look there for faults."""

    @property
    def shares_device(self) -> bool:
        """Whether units that say nothing get a GPU each: then no more of them are made than there have to be."""
        return self.given is not None and self.given.gpu is not None and self.given.gpu.wants_gpu
