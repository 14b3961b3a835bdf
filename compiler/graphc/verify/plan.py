"""Finds what is wrong with a plan that no pass may make: faults of graphc's own, never of a user."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from graphc.ir.graph import Graph
from graphc.ir.limits import Limits
from graphc.ir.plan import Plan, Unit, Wire
from graphc.verify.graph import verify_order

Message = Mapping[str, Wire]
"""What a message has, by name."""


def verify_plan(plan: Plan, graph: Graph, limits: Limits) -> list[str]:
    """Return what is wrong with the plan of a lowered graph, a sentence for each fault."""
    walking = _Walking(plan, graph)
    return [*_verify_units(plan, limits.levels.count), *walking.verify_nodes(), *walking.verify_flow()]


def _verify_units(plan: Plan, most: int) -> Iterator[str]:
    names = Counter(unit.name for unit in plan.root.walk())
    yield from (f"the unit `{name}` is there {count} times" for name, count in names.items() if count > 1)
    if plan.root.depth > most:
        yield f"the tree has {plan.root.depth} levels"
    for unit in plan.root.walk():
        if (unit.type == "ROUTER") != (unit.route is not None):
            yield f"`{unit.name}` is a {unit.type}, and its route is {unit.route}"
        if unit.type in {"MODEL", "OUTPUT_TRANSFORMER"} and len(unit.children) > 1:
            yield f"`{unit.name}` is a {unit.type} with {len(unit.children)} children"
        if unit.type in {"COMBINER", "ROUTER"} and not unit.children:
            yield f"`{unit.name}` is a {unit.type} without children"
        for branch, child in unit.route.children if unit.route else ():
            if child not in range(len(unit.children)):
                yield f"`{unit.name}` sends branch {branch} to child {child}, which is not there"


class _Walking:
    """Follows a message through the tree as the executor does."""

    def __init__(self, plan: Plan, graph: Graph) -> None:
        self.plan, self.graph = plan, graph

    def verify_nodes(self) -> Iterator[str]:
        """Yield the nodes of the graph that no unit runs, or several do; merged ones run as one."""
        inside = [node for unit in self.plan.root.walk() for node in unit.region.nodes]
        yield from (
            f"`{name}` runs {count} times"
            for name, count in Counter(node.name for node in inside).items()
            if count > 1
        )
        made = {output.tensor for node in inside for output in node.outputs}
        ran = {node.name for node in inside} | {
            name for node in inside for name in getattr(node.work, "merged", ())
        }
        for node in self.graph.nodes:
            if node.name not in ran and not made.issuperset(each.tensor for each in node.outputs):
                yield f"`{node.name}` runs nowhere"

    def verify_flow(self) -> Iterator[str]:
        """Yield the tensors that units take and do not get, and the graph's outputs that are not answered."""
        faults: list[str] = []
        given = {name: Wire(name, name, type_, False) for name, type_ in self.plan.inputs}
        answer = self._walk(self.plan.root, given, faults)
        yield from faults
        for name, type_ in self.plan.outputs:
            wire = answer.get(name)
            if wire is None or wire.type != type_ or wire.optional:
                yield f"the answer has {wire} for `{name}`"

    def _walk(self, unit: Unit, message: Message, faults: list[str]) -> Message:
        if unit.type in {"MODEL", "ROUTER"}:
            message = self._run(unit, message, faults)
        if unit.type == "COMBINER":
            message = _join([self._walk(child, message, faults) for child in unit.children])
        elif unit.type == "ROUTER":
            message = self._walk_branches(unit, message, faults)
        elif unit.children:
            message = self._walk(unit.children[0], message, faults)
        if unit.type in {"COMBINER", "OUTPUT_TRANSFORMER"}:
            message = self._run(unit, message, faults)
        return message

    def _walk_branches(self, unit: Unit, message: Message, faults: list[str]) -> Message:
        """Return what may be there: only what every child answers with, and the message has, is so for certain."""
        answers = [message, *(self._walk(child, message, faults) for child in unit.children)]
        certain = set[str].intersection(*(_certain(each) for each in answers))
        return {name: replace(wire, optional=name not in certain) for name, wire in _join(answers).items()}

    def _run(self, unit: Unit, message: Message, faults: list[str]) -> Message:
        """Return the answer of a unit; a router's is the message that it got."""
        for wire in unit.takes:
            there = message.get(wire.name)
            if there is None or there.tensor != wire.tensor or there.type != wire.type:
                faults.append(f"`{unit.name}` takes {wire}, and the message has {there}")
            elif there.optional and not wire.optional:
                faults.append(f"`{unit.name}` needs `{wire.name}`, which may not be there")
        nodes, given = unit.region.nodes, [wire.tensor for wire in unit.takes]
        faults += (f"`{unit.name}`: {fault}" for fault in verify_order(given, nodes))
        if unit.type == "ROUTER":
            faults += (f"`{unit.name}` routes and answers" for _ in unit.answers)
            return message
        known = {*given, *(output.tensor for node in nodes for output in node.outputs)}
        faults += (
            f"`{unit.name}` answers with `{wire.tensor}`, which it does not have"
            for wire in unit.answers
            if wire.tensor not in known
        )
        return _by_name(unit.answers)


def _join(messages: Iterable[Message]) -> Message:
    """Return the tensors of several messages; a tensor that several have is the same in all."""
    joined: dict[str, Wire] = {}
    for message in messages:
        for name, wire in message.items():
            is_certain = not wire.optional or (name in joined and not joined[name].optional)
            joined[name] = replace(wire, optional=not is_certain)
    return joined


def _certain(message: Message) -> set[str]:
    return {name for name, wire in message.items() if not wire.optional}


def _by_name(wires: Iterable[Wire]) -> dict[str, Wire]:
    return {wire.name: wire for wire in wires}
