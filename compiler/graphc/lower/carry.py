"""Finds which tensors each unit takes and answers: liveness, as a compiler does with registers."""

from collections.abc import Iterable, Sequence

from graphc_components.tensors import TensorType

from graphc.ir.graph import EitherWork, Graph
from graphc.ir.plan import Plan, Unit, Wire
from graphc.lower.schedule import Branching
from graphc.records import record


def carry_tensors(graph: Graph, tree: Branching) -> Plan:
    """Give every unit of a tree its tensors; the last one answers the graph's outputs by their names."""
    types = graph.types
    carrying = _Carrying(types, _find_optional(graph), [name for name, _ in graph.inputs])
    finals = tuple(Wire(result.name, result.tensor, types[result.tensor], False) for result in graph.outputs)
    root, _ = carrying.carry(tree, finals, is_last=True)
    outputs = tuple((result.name, types[result.tensor]) for result in graph.outputs)
    return Plan(graph.name, graph.inputs, outputs, root, deadline_ms=graph.deadline_ms, batch=graph.batch)


def _find_optional(graph: Graph) -> set[str]:
    """Return the tensors that may be absent: those of nodes that do not run, or may fail and be skipped."""
    optional: set[str] = set()
    for node in graph.nodes:
        may_miss = bool(node.guards)
        if isinstance(node.work, EitherWork):
            # It is there if any choice is that tells rows apart, or none has to.
            may_miss |= all(case.rows and case.rows.choice in optional for case in node.work.cases)
        tensors = {output.tensor for output in node.outputs}
        if may_miss:
            optional |= tensors
        elif node.policy.skip:
            optional |= tensors - {node.policy.failed}
    return optional


@record
class _Carrying:
    types: dict[str, TensorType]
    optional: set[str]
    inputs: Sequence[str]

    def carry(self, tree: Branching, answers: tuple[Wire, ...], *, is_last: bool) -> tuple[Unit, set[str]]:
        """Return the unit of a subtree that has to answer so, and the tensors that its message must have."""
        wanted = {wire.tensor for wire in answers}
        match tree.type:
            case "MODEL" if not tree.children:
                needs = tree.region.reads | (wanted - tree.region.makes)
                return self._unit(tree, needs, answers, is_last, []), needs
            case "MODEL":
                child, passed = self.carry(tree.children[0], answers, is_last=is_last)
                needs = tree.region.reads | (passed - tree.region.makes)
                return self._unit(tree, needs, self._wires(passed), False, [child]), needs
            case "OUTPUT_TRANSFORMER":
                passed = tree.region.reads | (wanted - tree.region.makes)
                child, needs = self.carry(tree.children[0], self._wires(passed), is_last=False)
                return self._unit(tree, passed, answers, is_last, [child]), needs
            case "COMBINER":
                return self._carry_branches(tree, answers, wanted, is_last)
            case "ROUTER":
                return self._carry_routed(tree, answers, is_last)

    def _carry_branches(
        self, tree: Branching, answers: tuple[Wire, ...], wanted: set[str], is_last: bool
    ) -> tuple[Unit, set[str]]:
        passed = tree.region.reads | (wanted - tree.region.makes)
        made = [_made_below(child) for child in tree.children]
        # What was made before the fork comes through one branch; the combiner never sees the message itself.
        through = passed - set().union(*made)
        children: list[Unit] = []
        needs: set[str] = set()
        for index, child in enumerate(tree.children):
            share = (passed & made[index]) | (through if index == 0 else set[str]())
            unit, below = self.carry(child, self._wires(share), is_last=False)
            children.append(unit)
            needs |= below
        return self._unit(tree, passed, answers, is_last, children), needs

    def _carry_routed(
        self, tree: Branching, answers: tuple[Wire, ...], is_last: bool
    ) -> tuple[Unit, set[str]]:
        assert tree.route is not None
        children: list[Unit] = []
        needs = {tree.route.choice}
        made = [_made_below(child) for child in tree.children]
        every = set[str]().union(*made)
        for child, own in zip(tree.children, made, strict=True):
            # What another child makes is not there when this one is called.
            passed = tuple(wire for wire in answers if wire.tensor in own or wire.tensor not in every)
            unit, below = self.carry(child, passed, is_last=is_last)
            children.append(unit)
            needs |= below
        # Where no child is called, the message itself goes on: it has to have what the children would pass on.
        needs |= {wire.tensor for wire in answers} - every
        return self._unit(tree, {tree.route.choice}, (), False, children), needs

    def _unit(
        self, tree: Branching, takes: set[str], answers: tuple[Wire, ...], is_last: bool, children: list[Unit]
    ) -> Unit:
        name, type_ = tree.region.name, tree.type
        return Unit(
            name, type_, tree.region, self._wires(takes), answers, is_last, tree.route, tuple(children)
        )

    def _wires(self, tensors: Iterable[str]) -> tuple[Wire, ...]:
        return tuple(Wire(each, each, self.types[each], each in self.optional) for each in sorted(tensors))


def _made_below(tree: Branching) -> set[str]:
    return tree.region.makes.union(*(_made_below(child) for child in tree.children))
