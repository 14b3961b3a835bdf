"""Finds the condition under which each node runs: that any of those is met under which it is read.

A way is a chain of guards, the outermost first: which branches of which decisions lead to a reader. One walk against
the flow finds the ways of every node. Where one chain says what they all say, that is the condition. Where none
does, what they have in common is the beginning of the condition, and its end is a tensor of its own: for each row
whether any of the ways leads there, an `Either`, computed once from the decisions. A node's ways are its readers'
conditions, so that an `Either` is built upon those of its readers, and all of them together have no more cases than
the graph has edges.

A node cannot wait for a decision that waits for it. Such a decision is left out of its condition, so that for that
reader the node runs for all rows that are decided on. Most of these are seen from what is made of what; that
decisions wait for each other through conditions alone is seen only in the conditions, which are then found again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from graphc_components.tensors import Dim

from graphc.ir.graph import CascadeWork, Case, FallbackWork, Graph, Guard, Node, RouterWork, Use
from graphc.ir.order import find_knots
from graphc.lower.fallbacks import FAILED
from graphc.records import record

Guards = tuple[Guard, ...]
Decisions = int
"""A set of decisions, a bit for each: there are as many sets as nodes."""

MET: Final = (1,)
"""The branch of an `Either` that wanted rows take."""


@record
class Either:
    """A tensor that says which rows of a dimension are wanted, or with none whether the request is: 1 where, else 0."""

    tensor: str
    origin: str
    axis: Dim
    cases: tuple[Case, ...]
    guards: Guards
    """What all cases have in common."""


@record
class Conditions:
    """The guards of each node, the tensors that these need, by name, and what nodes cannot wait for."""

    guards: Mapping[str, Guards]
    eithers: Mapping[str, Either]
    axes: Mapping[str, Dim]
    """By decision or `Either`, the dimension of its rows; what is about the request has none."""
    needs: Mapping[str, Decisions]
    """By decision or `Either`, the decisions that it is known by."""
    unknown: Mapping[str, Decisions]
    """By node, the decisions that wait for it."""


def choice_tensor(node: str, step: int = 0) -> str:
    """Name the tensor that holds a router's choice; no reference of a user's can have a colon there."""
    return f"{node}:choice{step or ''}"


def guarded_uses(node: Node) -> Iterable[tuple[Use, Guards]]:
    """Yield the uses of a node, each with the guards under which the node reads it."""
    match node.work:
        case RouterWork(takes=takes, value=value):
            if value:
                yield value, ()
            for index, branch in enumerate(takes):
                yield from ((use, (Guard(choice_tensor(node.name), (index,)),)) for use in branch)
        case CascadeWork(steps=steps):
            for index, step in enumerate(steps):
                before = tuple(Guard(choice_tensor(node.name, each), (1,)) for each in range(index))
                last = index == len(steps) - 1
                here = before if last else (*before, Guard(choice_tensor(node.name, index), (0,)))
                yield from ((use, here) for use in step.takes)
                if step.confidence:
                    yield step.confidence, before
        case FallbackWork(failed=failed, takes=takes):
            yield failed, ()
            for index, branch in enumerate(takes):
                yield from ((use, (Guard(failed.tensor, (index,)),)) for use in branch)
        case _:
            yield from ((use, ()) for use in node.uses)
            yield from ((use, (Guard(failed_tensor(node), (1,)),)) for use in node.policy.fallback)


def failed_tensor(node: Node) -> str:
    """Name the tensor that tells whether a node with a fallback failed."""
    return node.policy.failed or f"{node.name}{FAILED}"


def find_row_choices(graph: Graph) -> dict[str, Dim]:
    """Return, for each choice that is made by row, the dimension of the rows."""
    types = graph.types
    found: dict[str, Dim] = {}
    for node in graph.nodes:
        match node.work:
            case RouterWork(per="row", value=Use(tensor=tensor)):
                found[choice_tensor(node.name)] = types[tensor].shape[0]
            case CascadeWork(per="row", steps=steps):
                rows = types[steps[0].takes[0].tensor].shape[0]
                found |= {choice_tensor(node.name, index): rows for index in range(len(steps) - 1)}
            case _:
                pass
    return found


def find_conditions(graph: Graph) -> Conditions:
    """Return the condition of every node."""
    deciding = _Deciding(graph)
    unknown = deciding.find_made_of()
    while True:
        walk = _Walk(graph, deciding, unknown)
        walk.run()
        knots = walk.find_knots()
        if not any(knots[name] & ~unknown[name] for name in knots):
            return Conditions(walk.guards, walk.eithers, walk.axes, walk.needs, unknown)
        unknown = {name: found | knots.get(name, 0) for name, found in unknown.items()}


def find_unused(graph: Graph) -> dict[str, frozenset[str]]:
    """Return, for each node, the decisions that say nothing of its rows.

    Those are the ones that wait for it, all inside of them, and what leaves out no row that others do not take.
    """
    conditions = find_conditions(graph)
    inside = {
        decision: conditions.needs[decision] | _needed(conditions, node)
        for node in graph.nodes
        for decision in _decisions(node)
    }
    used = {node.name: _needed(conditions, node) for node in graph.nodes}
    return {
        name: frozenset(each for each, needs in inside.items() if needs & unknown or needs & ~used[name])
        for name, unknown in conditions.unknown.items()
    }


def _needed(conditions: Conditions, node: Node) -> Decisions:
    needed = 0
    for guard in conditions.guards[node.name]:
        needed |= conditions.needs[guard.choice]
    return needed


class _Deciding:
    """The decisions of a graph, and what each is made from."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values = {name: value for node in graph.nodes for name, value in _decisions(node).items()}
        self.bits: dict[str, Decisions] = {name: 1 << index for index, name in enumerate(self.values)}

    def name(self, decisions: Decisions) -> Iterator[str]:
        """Yield the names of a set of decisions."""
        return (name for name, bit in self.bits.items() if decisions & bit)

    def find_made_of(self) -> dict[str, Decisions]:
        """Return, for each node, the decisions that are made from its answers, in whatever branch."""
        made: dict[str, Decisions] = defaultdict(int)
        found: dict[str, Decisions] = {}
        for node in reversed(self.graph.nodes):
            after = 0
            for output in node.outputs:
                after |= made[output.tensor]
            found[node.name] = after
            for use, guards in guarded_uses(node):
                made[use.tensor] |= after
                if not guards and not isinstance(node.work, RouterWork | CascadeWork | FallbackWork):
                    made[use.tensor] |= self._failing(node)
            for decision, value in _decisions(node).items():
                if value is not None:
                    made[value.tensor] |= self.bits[decision]
        return found

    def _failing(self, node: Node) -> Decisions:
        return self.bits.get(failed_tensor(node), 0)


def _decisions(node: Node) -> dict[str, Use | None]:
    """Return the decisions that a node makes, each with the tensor it is made from; that it failed is made of all."""
    match node.work:
        case RouterWork(value=value):
            return {choice_tensor(node.name): value}
        case CascadeWork(steps=steps):
            return {choice_tensor(node.name, index): step.confidence for index, step in enumerate(steps[:-1])}
        case _:
            fails = node.policy.fallback or node.policy.failed is not None
            return {failed_tensor(node): None} if fails else {}


@dataclass(slots=True)
class _Walk:
    """One walk against the flow."""

    graph: Graph
    deciding: _Deciding
    unknown: Mapping[str, Decisions]
    guards: dict[str, Guards] = field(default_factory=dict[str, Guards])
    eithers: dict[str, Either] = field(default_factory=dict[str, Either])
    ways: dict[str, frozenset[Guards]] = field(default_factory=dict[str, frozenset[Guards]])
    """What each `Either` was made for."""
    needs: dict[str, Decisions] = field(init=False)
    """The decisions that a decision or an `Either` is known by: its own, and those that it is computed from."""
    axes: dict[str, Dim] = field(init=False)
    counts: dict[str, int] = field(init=False)
    """How many branches a decision has, if not two."""
    known: dict[frozenset[Guards], Guards] = field(default_factory=dict[frozenset[Guards], Guards])

    def __post_init__(self) -> None:
        self.axes = find_row_choices(self.graph)
        self.needs = dict(self.deciding.bits)
        routers = [(node, node.work) for node in self.graph.nodes if isinstance(node.work, RouterWork)]
        self.counts = {choice_tensor(node.name): len(work.takes) for node, work in routers}

    def run(self) -> None:
        """Find the guards of all nodes."""
        read: dict[str, set[Guards]] = defaultdict(set)
        for result in self.graph.outputs:
            read[result.tensor].add(())
        for node in reversed(self.graph.nodes):
            ways = set[Guards]().union(*(read[output.tensor] for output in node.outputs))
            unknown = self.unknown[node.name]
            known = {each for way in ways for each in self._cut(way, unknown)} if unknown else ways
            guards = self.guards[node.name] = self._join(node, known)
            for use, inner in guarded_uses(node):
                read[use.tensor].add(guards + inner)

    def _cut(self, way: Guards, unknown: Decisions) -> Iterator[Guards]:
        """Yield a way up to the first decision that is not to be known; what is inside of that waits for it too."""
        for index, guard in enumerate(way):
            if self.needs[guard.choice] & unknown:
                if guard.choice in self.ways:
                    yield from (each for own in self.ways[guard.choice] for each in self._cut(own, unknown))
                else:
                    yield way[:index]
                return
        yield way

    def _join(self, node: Node, ways: set[Guards]) -> Guards:
        """Return the condition that is met where any way is."""
        found = self._simplify(ways)
        if len(found) < 2:
            return next(iter(found), ())
        if found not in self.known:
            self.known[found] = self._make_either(node, found)
        return self.known[found]

    def _simplify(self, ways: set[Guards]) -> frozenset[Guards]:
        """Join ways that differ in the last one's branches only, and leave out those that others cover."""
        for length in range(max((len(way) for way in ways), default=0), 0, -1):
            branches: dict[tuple[Guards, str], set[int]] = defaultdict(set)
            for way in ways:
                if len(way) == length:
                    branches[way[:-1], way[-1].choice].update(way[-1].branches)
            ways = {way for way in ways if len(way) != length}
            for (outer, choice), taken in branches.items():
                is_whole = choice not in self.ways and len(taken) == self.counts.get(choice, 2)
                ways.add(outer if is_whole else (*outer, Guard(choice, tuple(sorted(taken)))))
        if () in ways:
            return frozenset({()})
        return frozenset(self._leave_covered(ways))

    def _leave_covered(self, ways: set[Guards]) -> Iterator[Guards]:
        """Yield the ways that no other one covers, itself or as one of the ways of an `Either`."""
        covering: dict[str, list[tuple[Guards, Guards]]] = defaultdict(list)
        for way in ways:
            for wide in (way, *self.ways.get(way[-1].choice, ())):
                covering[wide[0].choice].append((way, wide))
        for way in ways:
            if not any(_covers(wide, way) for other, wide in covering[way[0].choice] if other != way):
                yield way

    def _make_either(self, node: Node, ways: frozenset[Guards]) -> Guards:
        order = sorted(ways, key=lambda way: [(guard.choice, guard.branches) for guard in way])
        common = self._common(order)
        apart = [guard for way in order for guard in way[len(common) :]]
        # Of the last choice in common, ways may take different branches.
        apart += [common[-1]] if common and any(way[: len(common)] != common for way in order) else []
        axes = sorted({self.axes.get(guard.choice) for guard in apart} - {None}, key=str) or [None]
        names = [f"{node.name}:rows{index or ''}" for index in range(len(axes))]
        needs = 0
        for guard in (guard for way in order for guard in way):
            needs |= self.needs[guard.choice]
        for name, axis in zip(names, axes, strict=True):
            cases = tuple(self._case(way, axis) for way in order)
            self.eithers[name] = Either(name, node.origin, axis, cases, common)
            self.ways[name], self.needs[name] = ways, needs
            if axis is not None:
                self.axes[name] = axis
        return (*common, *(Guard(name, MET) for name in names))

    def _case(self, way: Guards, axis: Dim) -> Case:
        """Return the innermost guard of each dimension: those around it are met where it is."""
        inner = {self.axes.get(guard.choice): guard for guard in way}
        rows = inner.pop(axis, None) if axis is not None else None
        return Case(rows, tuple(inner.values()))

    def _common(self, ways: Sequence[Guards]) -> Guards:
        """Return the same guards of all ways, then all branches that any has of the choice where they part."""
        shared: Guards = ()
        for index, guard in enumerate(min(ways, key=len)):
            here = {way[index] for way in ways}
            if len(here) > 1:
                branches = sorted({branch for each in here for branch in each.branches})
                is_one = len({each.choice for each in here}) == 1
                is_some = len(branches) < self.counts.get(guard.choice, 2)
                return (*shared, Guard(guard.choice, tuple(branches))) if is_one and is_some else shared
            shared = (*shared, guard)
        return shared

    def find_knots(self) -> dict[str, Decisions]:
        """Return, for each node, the decisions of its condition that wait for it through conditions alone."""
        nodes = {node.name: node for node in self.graph.nodes}
        reads = self._waiting()
        found: dict[str, Decisions] = {}
        for knot in find_knots(reads):
            for name in knot & nodes.keys():
                found[name] = 0
                for guard in self.guards[name]:
                    if guard.choice in knot:
                        found[name] |= self._inside(guard.choice, knot)
        return found

    def _inside(self, choice: str, knot: set[str]) -> Decisions:
        """Return the decisions of a knot by which a choice is known."""
        needed = self.deciding.name(self.needs[choice])
        return sum(self.deciding.bits[name] for name in needed if name in knot)

    def _waiting(self) -> dict[str, set[str]]:
        """Return what each node, decision and `Either` waits for."""
        makers = {output.tensor: node.name for node in self.graph.nodes for output in node.outputs}
        reads: dict[str, set[str]] = {}
        for node in self.graph.nodes:
            when = {guard.choice for guard in self.guards[node.name]}
            own = _decisions(node)
            uses = {makers[use.tensor] for use, _ in guarded_uses(node) if use.tensor in makers}
            reads[node.name] = uses | when | own.keys()
            is_choice = isinstance(node.work, RouterWork | CascadeWork)
            tried = (
                set[str]() if is_choice else {makers[use.tensor] for use in node.uses if use.tensor in makers}
            )
            for decision, value in own.items():
                made_of = {makers[value.tensor]} if value is not None and value.tensor in makers else tried
                reads[decision] = made_of | when
        for either in self.eithers.values():
            guards = {guard for case in either.cases for guard in (case.rows, *case.whole) if guard}
            reads[either.tensor] = {guard.choice for guard in (*guards, *either.guards)}
        return reads


def _covers(outer: Guards, inner: Guards) -> bool:
    """Say whether what meets the second guards meets the first too."""
    return len(outer) <= len(inner) and all(
        wide.choice == narrow.choice and set(narrow.branches) <= set(wide.branches)
        for wide, narrow in zip(outer, inner, strict=False)
    )
