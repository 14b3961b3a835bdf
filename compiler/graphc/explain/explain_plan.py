"""A plan as data: what `graphc explain FILE` shows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from graphc_components.tensors import TensorType

from graphc.hardware.assign import Landing
from graphc.ir.graph import ModelWork, Node
from graphc.ir.plan import Costs, Decision, Merge, Plan, Prediction, Unit, UnitType, Wire
from graphc.targets.interface import Loss


@dataclass(frozen=True, slots=True)
class ExplainedNode:
    """A node with what it is taken to cost."""

    name: str
    ms: float
    source: str


@dataclass(frozen=True, slots=True)
class ExplainedUnit:
    """A unit of the tree with its nodes and its share of the time."""

    name: str
    type: UnitType
    nodes: tuple[ExplainedNode, ...]
    work_ms: float
    hop_ms: float
    takes: int
    """Bytes of the tensors in the message that it is called with."""
    answers: int
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainedMessage:
    """A tensor that travels from the unit that makes it, or the client, to one that reads it, or the client.

    Units between them carry it along.
    """

    tensor: str
    type: str
    bytes: int
    source: str | None
    target: str | None


@dataclass(frozen=True, slots=True)
class ExplainedLoss:
    """What the target does not do as the file asks, by the rule that says so."""

    code: str
    rule: str
    message: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is to be said of a plan.

    `at_once` are the units that start together, by fork; there are `landings` on a cluster with known nodes alone.
    """

    graph: str
    predictor: str
    batch: int
    ms: float
    hops: int
    way: tuple[str, ...]
    units: tuple[ExplainedUnit, ...]
    at_once: tuple[tuple[str, ...], ...]
    messages: tuple[ExplainedMessage, ...]
    decisions: tuple[Decision, ...]
    merges: tuple[Merge, ...]
    landings: tuple[Landing, ...] = ()
    losses: tuple[ExplainedLoss, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the same as plain data; losses are in it where there are some."""
        found = asdict(self)
        return found if self.losses else {key: value for key, value in found.items() if key != "losses"}


def explain_plan(
    plan: Plan, predictor: str, landings: Sequence[Landing] = (), losses: Iterable[Loss] = ()
) -> Explanation:
    """Explain a plan that was lowered from a graph, so that it has its costs."""
    costs, prediction = plan.costs, plan.prediction
    assert costs is not None
    assert prediction is not None
    units = list(plan.root.walk())
    return Explanation(
        plan.graph,
        predictor,
        costs.batch,
        prediction.ms,
        _count_calls(plan.root),
        prediction.way,
        tuple(_explain_unit(unit, costs, prediction) for unit in units),
        tuple(_find_at_once(unit) for unit in units if unit.type == "COMBINER"),
        tuple(_find_messages(plan, costs)),
        plan.decisions,
        plan.merges,
        tuple(landings),
        tuple(_explain_loss(each) for each in losses),
    )


def _explain_loss(loss: Loss) -> ExplainedLoss:
    rule = loss.diagnostic.rule
    return ExplainedLoss(rule.code, rule.name, loss.diagnostic.message, loss.is_allowed)


def _explain_unit(unit: Unit, costs: Costs, prediction: Prediction) -> ExplainedUnit:
    parts: dict[str, list[float]] = defaultdict(list)
    sources: dict[str, str] = {}
    for node in unit.region.nodes:
        for name, origin in _members(node):
            parts[origin].append(costs.nodes[name].ms)
            sources[origin] = costs.nodes[name].source
    nodes = tuple(ExplainedNode(name, sum(ms), sources[name]) for name, ms in parts.items())
    cost = prediction.units[unit.name]
    children = tuple(child.name for child in unit.children)
    return ExplainedUnit(
        unit.name, unit.type, nodes, cost.work_ms, cost.hop_ms, cost.takes, cost.answers, children
    )


def _members(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the name and the origin of a node, or of those that one ONNX model was made of."""
    if isinstance(node.work, ModelWork) and node.work.merged:
        yield from ((name, name) for name in node.work.merged)
    else:
        yield node.name, node.origin


def _count_calls(unit: Unit) -> int:
    """Return how many units are called for one request, a router calling its largest branch."""
    below = [_count_calls(child) for child in unit.children]
    return 1 + (max(below, default=0) if unit.type == "ROUTER" else sum(below))


def _find_at_once(unit: Unit) -> tuple[str, ...]:
    """Return the first unit of each branch of a combiner: a unit that transforms outputs comes after its child."""
    return tuple(_first_called(child) for child in unit.children)


def _first_called(unit: Unit) -> str:
    if unit.type == "OUTPUT_TRANSFORMER":
        return _first_called(unit.children[0])
    return unit.name


def _find_messages(plan: Plan, costs: Costs) -> Iterator[ExplainedMessage]:
    """Yield what travels, in the order in which units take it; then what the client gets."""
    makers = {tensor: unit.name for unit in plan.root.walk() for tensor in unit.region.makes}
    for unit in plan.root.walk():
        for wire in (wire for wire in unit.takes if wire.tensor in unit.region.reads):
            yield _explain_message(wire, costs, makers.get(wire.tensor), unit.name)
    outputs: list[tuple[str, TensorType]] = list(plan.outputs)
    last = next(unit for unit in plan.root.walk() if unit.is_last)
    for wire in last.answers:
        if (wire.name, wire.type) in outputs:
            yield _explain_message(wire, costs, makers.get(wire.tensor), None)


def _explain_message(wire: Wire, costs: Costs, source: str | None, target: str | None) -> ExplainedMessage:
    return ExplainedMessage(wire.tensor, str(wire.type), costs.bytes[wire.tensor], source, target)
