"""The plan: a tree of units that run one region each; emitters and the local engine read it."""

from collections.abc import Iterator, Mapping
from typing import Literal

from graphc_components.tensors import TensorType

from graphc.ir.graph import Batch, Node, Placement
from graphc.records import record

UnitType = Literal["MODEL", "OUTPUT_TRANSFORMER", "COMBINER", "ROUTER"]


@record
class Region:
    """A sub-graph that runs inside one container; a region without nodes passes tensors on."""

    name: str
    nodes: tuple[Node, ...]
    placement: Placement

    @property
    def makes(self) -> set[str]:
        """The tensors that the region's nodes make."""
        return {output.tensor for node in self.nodes for output in node.outputs}

    @property
    def reads(self) -> set[str]:
        """The tensors that the region needs from the message."""
        return {tensor for node in self.nodes for tensor in node.reads} - self.makes


@record
class Wire:
    """A tensor in a message: the name that it goes by there, and whether it may be absent."""

    name: str
    tensor: str
    type: TensorType
    optional: bool


@record
class Route:
    """How a ROUTER unit answers: the child of the branch that a choice has; no child leaves the message."""

    choice: str
    children: tuple[tuple[int, int], ...]


@record
class Unit:
    """One unit of the tree with its region, what it takes out of its message and what it answers."""

    name: str
    type: UnitType
    region: Region
    takes: tuple[Wire, ...]
    answers: tuple[Wire, ...]
    is_last: bool
    route: Route | None
    children: tuple["Unit", ...]

    def walk(self) -> Iterator["Unit"]:
        """Yield the unit and all below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def depth(self) -> int:
        """The number of levels."""
        return 1 + max((child.depth for child in self.children), default=0)


@record
class NodeCost:
    """How long a node takes, in milliseconds, and how that is known."""

    ms: float
    source: Literal["declared", "measured", "size", "kind"]


@record
class Costs:
    """What a plan was chosen by: the cost of each node, and the bytes of each tensor for that many rows."""

    nodes: Mapping[str, NodeCost]
    bytes: Mapping[str, int]
    exclusive: frozenset[str]
    """The choices that are made once for a request, so that one of their branches runs."""
    batch: int


@record
class UnitCost:
    """The time of a unit's nodes and of the hop that calls it, in milliseconds, and what the hop carries."""

    work_ms: float
    hop_ms: float
    takes: int
    answers: int


@record
class Prediction:
    """The time of one request, along the units of its slowest way in the order in which they run."""

    ms: float
    way: tuple[str, ...]
    units: Mapping[str, UnitCost]


DecisionKind = Literal[
    "apart", "entrance", "fused", "parallel", "pooled", "sequence", "route", "join", "shortened", "forced"
]


@record
class Decision:
    """One choice that a pass made: about which units, and why, in words that end a sentence."""

    kind: DecisionKind
    units: tuple[str, ...]
    because: str


@record
class Merge:
    """What became of nodes that might be one ONNX model, and why."""

    kind: Literal["merged", "apart"]
    nodes: tuple[str, ...]
    reason: str


@record
class Plan:
    """A graph's tree of units, with what was predicted of it and why it is so."""

    graph: str
    inputs: tuple[tuple[str, TensorType], ...]
    outputs: tuple[tuple[str, TensorType], ...]
    root: Unit
    decisions: tuple[Decision, ...] = ()
    costs: Costs | None = None
    prediction: Prediction | None = None
    merges: tuple[Merge, ...] = ()
    deadline_ms: int | None = None
    batch: Batch | None = None

    def batch_of(self, unit: Unit) -> Batch | None:
        """Return how requests run together in a unit; a router only tells where they go."""
        if unit.type == "ROUTER" or not unit.region.nodes:
            return None
        return unit.region.placement.batch or self.batch
