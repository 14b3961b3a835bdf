"""Draws a plan: the nodes as they run, in frames of the units that run them."""

from collections.abc import Iterator, Mapping

from graphc.explain.figures import show_bytes, show_ms
from graphc.ir.plan import Plan, Unit
from graphc.view.draw_nodes import Types, draw_arrows, draw_input, draw_node, draw_output
from graphc.view.drawing import Arrow, Box, Drawing, Frame

Containers = Mapping[str, Mapping[str, str]]
"""By unit, what was emitted of its container."""


def draw_plan(plan: Plan, containers: Containers | None = None) -> Drawing:
    """Return the picture of a plan: its inputs, its units' nodes and its outputs, and the tensors between them."""
    units = [unit for unit in plan.root.walk() if unit.region.nodes]
    types = _types(plan)
    makers = {name: f"in:{name}" for name, _ in plan.inputs}
    makers |= {
        output.tensor: f"node:{node.name}"
        for unit in units
        for node in unit.region.nodes
        for output in node.outputs
    }
    way = set(plan.prediction.way) if plan.prediction else set[str]()
    boxes = [
        *(draw_input(name, type_) for name, type_ in plan.inputs),
        *(
            box
            for unit in units
            for box in _draw_unit(plan, unit, is_slow=unit.name in way and len(units) > 1)
        ),
        *(draw_output(name, type_) for name, type_ in plan.outputs),
    ]
    nodes = [node for unit in units for node in unit.region.nodes]
    arrows = (*draw_arrows(nodes, makers, types), *_draw_ends(plan, makers, types))
    slow = way if len(units) > 1 else set[str]()
    frames = tuple(_frame(plan, unit, (containers or {}).get(unit.name, {}), slow) for unit in units)
    return Drawing(plan.graph, _subtitle(plan, units), tuple(boxes), arrows, frames)


def _subtitle(plan: Plan, units: list[Unit]) -> str:
    text = f"as it runs: {len(units)} unit{'s' * (len(units) != 1)}"
    return (
        text if plan.prediction is None else f"{text}, {show_ms(plan.prediction.ms)} predicted for a request"
    )


def _types(plan: Plan) -> Types:
    types = dict(plan.inputs)
    for unit in plan.root.walk():
        types |= {output.tensor: output.type for node in unit.region.nodes for output in node.outputs}
        types |= {wire.tensor: wire.type for wire in (*unit.takes, *unit.answers)}
    return types


def _draw_unit(plan: Plan, unit: Unit, *, is_slow: bool) -> Iterator[Box]:
    for node in unit.region.nodes:
        cost = plan.costs.nodes.get(node.name) if plan.costs else None
        facts = {"runs in": unit.name}
        facts |= {} if cost is None else {"takes": f"{show_ms(cost.ms)} ({cost.source})"}
        yield draw_node(node, facts, is_slow=is_slow)


def _draw_ends(plan: Plan, makers: Mapping[str, str], types: Types) -> Iterator[Arrow]:
    answers = {wire.name: wire.tensor for unit in plan.root.walk() if unit.is_last for wire in unit.answers}
    for name, _ in plan.outputs:
        tensor = answers.get(name, name)
        if tensor in makers:
            yield Arrow(makers[tensor], f"out:{name}", (f"{tensor}: {types[tensor]}",))


def _frame(plan: Plan, unit: Unit, container: Mapping[str, str], way: set[str]) -> Frame:
    facts = {"unit": unit.type}
    cost = plan.prediction.units.get(unit.name) if plan.prediction else None
    if cost is not None:
        facts |= {
            "its nodes take": show_ms(cost.work_ms),
            "its call takes": show_ms(cost.hop_ms),
            "it is sent": show_bytes(cost.takes),
            "it answers": show_bytes(cost.answers),
        }
    why = [f"{each.kind}: {each.because}" for each in plan.decisions if unit.name in each.units]
    facts |= {"why" if not index else f"why ({index + 1})": text for index, text in enumerate(why)}
    members = tuple(f"node:{node.name}" for node in unit.region.nodes)
    return Frame(f"unit:{unit.name}", unit.name, members, facts | dict(container), unit.name in way)
