"""Schedules regions as a tree of units that an engine can walk.

An engine runs, on one path of the tree, any number of units in sequence, then children side by side once, then any
number of units in sequence again. So a set of regions is laid out as a prefix that peels single sources, branches
that need nothing of each other, a combiner, and a suffix in sequence. Whatever the shape of the DAG, that is an order
in which it can run: a tensor that a later unit needs is carried along by those between.

An example: `a` and `b` read the input, `c` reads both, and `d` reads `c` and `b`. `b` has two readers, which no
tree has. `a` and `b` are the branches of a fork, `c` combines them, and `d` follows in sequence. `c` answers
with its own tensor and carries that of `b` along for `d`: 24 bytes in place of 12.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from graphc.ir.graph import ChoiceWork, EitherWork, Graph, Placement
from graphc.ir.order import Edges, find_components
from graphc.ir.plan import Region, Route, UnitType
from graphc.lower.partition import claim_name
from graphc.records import record

Settled = Mapping[str, frozenset[int]]
"""Choices that a router above has looked at, each with the branches that lead here."""

_NONE: Final = frozenset[int]()


@dataclass(slots=True)
class Branching:
    """A unit of the tree before it is known which tensors it carries."""

    type: UnitType
    region: Region
    children: list["Branching"] = field(default_factory=list["Branching"])
    route: Route | None = None


@record
class Layout:
    """A way to lay out regions: how many of them run one after another before the first fork is looked for.

    Only one fork on a path can run side by side; where several follow each other, this says which.
    `opens` runs a branch's head before the fork where that saves a combiner; `routes` has units called only where they
    are taken, which takes a level for each router.
    """

    ahead: int = 0
    opens: bool = True
    routes: bool = True


def schedule_regions(
    graph: Graph, regions: Sequence[Region], layout: Layout, *, has_entrance: bool
) -> Branching:
    """Lay out all regions, given in a runnable order, as one tree; it may need a unit before a fork."""
    if not regions:
        return Branching("MODEL", Region(graph.name, (), Placement()))
    makers = {tensor: region.name for region in regions for tensor in region.makes}
    reads = {
        region.name: {makers[tensor] for tensor in region.reads if tensor in makers} for region in regions
    }
    nodes = [node for region in regions for node in region.nodes]
    choices = [(node, node.work.per) for node in nodes if isinstance(node.work, ChoiceWork)]
    # Whether a node failed is known for the whole request.
    failures = {node.policy.failed: node.origin for node in nodes if node.policy.failed}
    per_request = {node.outputs[0].tensor for node, per in choices if per == "request"} | set(failures)
    eithers = [node for node in nodes if isinstance(node.work, EitherWork)]
    deciding = [*(node for node, _ in choices), *eithers]
    origins = {node.outputs[0].tensor: node.origin for node in deciding} | failures
    names = {region.name for region in regions}
    scheduling = _Scheduling(graph.name, reads, per_request, origins, names, layout)
    ahead = regions[: layout.ahead]
    tree = scheduling.nest(list(regions[len(ahead) :]), {})
    for region in reversed(ahead):
        tree = Branching("MODEL", region, [tree] if tree else [])
    assert tree is not None
    return _with_entrance(graph, tree) if has_entrance else tree


def _with_entrance(graph: Graph, tree: Branching) -> Branching:
    """Put a MODEL above a fork that nothing stands before: it refuses what the branches must not be called with."""
    if tree.type == "MODEL":
        return tree
    return Branching("MODEL", Region(graph.name, (), Placement()), [tree])


@record
class _Scheduling:
    graph: str
    reads: Edges
    per_request: set[str]
    origins: Mapping[str, str]
    names: set[str]
    layout: Layout

    def nest(self, regions: list[Region], settled: Settled) -> Branching | None:
        """Lay out regions in a runnable order."""
        if not regions:
            return None
        routed = self._route(regions, settled) if self.layout.routes else None
        if routed:
            return routed
        inside = {region.name for region in regions}
        sources = [region for region in regions if not (set(self.reads[region.name]) & inside)]
        if len(sources) == 1:
            below = self.nest(regions[1:], settled)
            return Branching("MODEL", sources[0], [below] if below else [])
        opener = self._find_opener(regions, sources) if self.layout.opens else None
        if opener:
            below = self.nest([region for region in regions if region is not opener], settled)
            return Branching("MODEL", opener, [below] if below else [])
        return self._fork(regions, sources, settled)

    def _find_opener(self, regions: list[Region], sources: list[Region]) -> Region | None:
        """Find a source whose branch would fork again only for the ends to be joined with the others.

        Run before the fork, it opens one combiner with all ends instead of two combiners.
        """
        only = self._under_one(regions)
        for source in sources:
            branch = {each.name for each in only[source.name] if each is not source}
            ends = {name: set(self.reads[name]) & branch for name in branch}
            if len(branch) > 1 and len(find_components(ends)) > 1:
                return source
        return None

    def _under_one(self, regions: list[Region]) -> dict[str, list[Region]]:
        """For each source, the regions that only it leads to; under the empty name those of several sources."""
        heads: dict[str, str] = {}
        found: dict[str, list[Region]] = {"": []}
        for region in regions:
            before = {heads[each] for each in self.reads[region.name] if each in heads} or {region.name}
            head = before.pop() if len(before) == 1 else ""
            heads[region.name] = head
            found.setdefault(head, []).append(region)
        return found

    def _fork(self, regions: list[Region], sources: list[Region], settled: Settled) -> Branching:
        """Run side by side what only one source leads to, and the rest after a combiner."""
        only = self._under_one(regions)
        branches: list[Branching] = []
        for source in sources:
            branch = self.nest(only[source.name], settled)
            assert branch is not None
            branches.append(branch)
        rest = only[""]
        join = rest[0] if rest else self._empty("join")
        return _chain(rest[1:], Branching("COMBINER", join, branches))

    def _route(self, regions: list[Region], settled: Settled) -> Branching | None:
        """Put a ROUTER above regions that run only for some branches of a choice made before them."""
        made = {tensor for region in regions for tensor in region.makes}
        for choice in sorted({tensor for region in regions for tensor in _guards(region)} - made):
            routed = self._route_choice(choice, regions, settled)
            if routed:
                return routed
        return None

    def _route_choice(self, choice: str, regions: list[Region], settled: Settled) -> Branching | None:
        within = settled.get(choice)
        branches: dict[str, frozenset[int]] = {}
        for region in regions:
            own = _guards(region).get(choice)
            if own is not None and (within is None or not within <= own):
                branches[region.name] = own
        groups = _join_overlapping(branches.values())
        rest = [region for region in regions if region.name not in branches]
        after = {region.name for region in rest}
        if not groups or groups == [within] or any(set(self.reads[name]) & after for name in branches):
            return None
        # Rows of one message may take several branches; only one child can be called.
        if choice not in self.per_request and len(groups) > 1:
            return None
        children = [
            self.nest(
                [each for each in regions if branches.get(each.name, _NONE) & group],
                {**settled, choice: group},
            )
            for group in groups
        ]
        route = Route(
            choice, tuple(sorted((branch, index) for index, group in enumerate(groups) for branch in group))
        )
        router = self._empty(f"{self.origins[choice]}-route")
        return _chain(rest, Branching("ROUTER", router, [child for child in children if child], route))

    def _empty(self, wanted: str) -> Region:
        return Region(claim_name(wanted, self.names, self.graph), (), Placement())


def _guards(region: Region) -> dict[str, frozenset[int]]:
    """Return the choices that all nodes of a region are guarded by, with the branches for which any of them runs.

    Nodes that run for different branches, of which none runs for all, may well be all branches that there are.
    """
    guards = [{guard.choice: frozenset(guard.branches) for guard in node.guards} for node in region.nodes]
    found: dict[str, frozenset[int]] = {}
    for choice in guards[0]:
        every = [each.get(choice) for each in guards]
        widest = frozenset[int]().union(*(each for each in every if each))
        if None not in every and widest in every:
            found[choice] = widest
    return found


def _join_overlapping(sets: Iterable[frozenset[int]]) -> list[frozenset[int]]:
    """Return the smallest sets that have nothing in common, each the union of some of these, in order."""
    joined: list[frozenset[int]] = []
    for each in sets:
        apart = [other for other in joined if not other & each]
        joined = [*apart, each.union(*(other for other in joined if other & each))]
    return sorted(joined, key=min)


def _chain(rest: Sequence[Region], tree: Branching) -> Branching:
    """Run regions one after another on what a tree answers."""
    for region in rest:
        tree = Branching("OUTPUT_TRANSFORMER", region, [tree])
    return tree
