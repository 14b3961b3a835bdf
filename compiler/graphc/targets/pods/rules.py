"""What a target decides of the pods of a graph, where the rest is as every target has it."""

from collections.abc import Callable, Sequence

from graphc.ir.plan import Unit
from graphc.records import record
from graphc.targets.interface import Version
from graphc.targets.pods.ending import Ending


@record
class PodRules:
    """A target's own part of a layout; a walker is what calls the units of a version in their order."""

    has_walker: Callable[[Version], bool]
    """Whether one stands in front of a version, in its first pod."""
    end_beside: Callable[[float | None], Ending]
    """How units end that share a pod with it, by the milliseconds that a request takes at most."""
    name_deployment: Callable[[Version, int, Sequence[Unit]], str]
    """What the Deployment of a pod is called, by its place and its units."""
    numbers_ports: bool
    """Whether the names of the ports of units that are walked have their numbers."""
    walker_calls: str
    """The metric that counts what the walker is asked."""
