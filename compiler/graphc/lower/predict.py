"""Predicts how long a request takes through a plan, and along which units."""

from graphc.ir.plan import Costs, Plan, Prediction, Unit, UnitCost, Wire
from graphc.lower.costs import MODEL, region_ms
from graphc.records import record


def predict_plan(plan: Plan, costs: Costs) -> Prediction:
    """Return the time along the slowest way through the tree, each router taking its slowest branch."""
    units = {unit.name: _unit_cost(unit, costs) for unit in plan.root.walk()}
    way = _walk(plan.root, units)
    return Prediction(way.ms, way.units, units)


@record
class _Way:
    ms: float
    units: tuple[str, ...]


def _unit_cost(unit: Unit, costs: Costs) -> UnitCost:
    carried = _bytes(unit.takes, costs) + _bytes(unit.answers, costs)
    hop = MODEL.hop + MODEL.hop_mib * carried / 2**20
    return UnitCost(
        region_ms(unit.region.nodes, costs), hop, _bytes(unit.takes, costs), _bytes(unit.answers, costs)
    )


def _bytes(wires: tuple[Wire, ...], costs: Costs) -> int:
    return sum(costs.bytes[wire.tensor] for wire in wires)


def _walk(unit: Unit, costs: dict[str, UnitCost]) -> _Way:
    """Return the slowest way through a subtree, its units in the order in which they run."""
    own = costs[unit.name]
    below = [_walk(child, costs) for child in unit.children]
    slowest = max(below, key=lambda way: way.ms, default=_Way(0.0, ()))
    ms = own.work_ms + own.hop_ms + slowest.ms
    is_first = unit.type in {"MODEL", "ROUTER"}
    return _Way(ms, (unit.name, *slowest.units) if is_first else (*slowest.units, unit.name))
