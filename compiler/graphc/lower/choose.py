"""Chooses the plan that is predicted to be the fastest among few, always the same ones.

The search starts from one unit for all that no placement parts. It then parts such a unit into branches while that
is clearly faster, and tries in which order regions that do not nest run best.

An example: `a` and `b` read the input, and `c` is their mean; a hop takes 4 ms. With 3 ms for each of `a` and
`b`, one unit takes 10 ms, and a unit for each would only add hops: all stay in one. With 30 ms for each, one
unit takes 64 ms. Side by side they take 42 ms: an entrance (4), the heavier branch (34), and the combiner (4).
So the plan has a fork.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from graphc.ir.graph import Graph, Node
from graphc.ir.plan import Costs, Plan, Prediction, Region
from graphc.lower.branches import BEFORE, Block, Parting, find_partings, part_beside
from graphc.lower.carry import carry_tensors
from graphc.lower.costs import MODEL
from graphc.lower.options import Options
from graphc.lower.partition import STAGE, Groups, build_regions, find_quorums
from graphc.lower.predict import predict_plan
from graphc.lower.schedule import Branching, Layout, schedule_regions
from graphc.lower.shorten import depth_of, shorten
from graphc.records import record

MOST_ROUNDS: Final = 3
"""How often a unit, or a part of it, is parted again."""
MOST_PLANS: Final = 48
MOST_PLANNED: Final = 20_000
"""Nodes of all the plans that are tried: of a large graph there are fewer plans."""
LEAST_PLANS: Final = 3
MOST_AHEAD: Final = 8


@record
class Branch:
    """What would run beside something else: its nodes, the heaviest of them, and their milliseconds."""

    nodes: frozenset[str]
    heaviest: str
    ms: float


@record
class Fork:
    """Branches that were found worth parting, or not, with the predictions that decided it."""

    branches: tuple[Branch, ...]
    fused_ms: float
    parted_ms: float


@record
class Draft:
    """A plan that was tried, and what it was made of."""

    groups: Groups
    regions: Sequence[Region]
    tree: Branching
    plan: Plan
    prediction: Prediction


@dataclass(slots=True)
class Choice:
    """The plan chosen, the forks that it has, and the best that it could have had instead of none."""

    draft: Draft
    layout: Layout = field(default_factory=Layout)
    forks: list[Fork] = field(default_factory=list[Fork])
    refused: Fork | None = None
    by_layout_ms: float | None = None
    """What the layout tried first would have taken, where another is faster."""


@record
class TooDeep:
    """No plan fits into the levels that there are: the least number that was found."""

    levels: int


def choose_plan(graph: Graph, groups: Groups, costs: Costs, options: Options) -> Choice | TooDeep:
    """Return the plan that is predicted to be the fastest; the first, without a search, where none is asked for."""
    choosing = _Choosing(graph, costs, options)
    if graph.calls_at is not None and options.limits.calls_in_sequence:
        in_sequence = choosing.draft(groups, Layout(ahead=len(graph.nodes)))
        return in_sequence if isinstance(in_sequence, TooDeep) else Choice(in_sequence)
    first = choosing.draft(groups, Layout())
    is_fixed = options.level == 0 or graph.grouping == "separate"
    if isinstance(first, TooDeep):
        layouts = [Layout(routes=False)] if is_fixed else [*_layouts(len(groups)), Layout(routes=False)]
        return choosing.lay_out_anyhow(groups, layouts, first)
    choice = Choice(first)
    if not is_fixed and not (options.limits.alone and len(first.prediction.units) == 1):
        if graph.grouping == "auto" and not options.shares_device:
            choosing.part(choice)
        choosing.lay_out(choice)
    return choice


@dataclass(slots=True)
class _Choosing:
    graph: Graph
    costs: Costs
    options: Options

    def draft(self, groups: Groups, layout: Layout) -> Draft | TooDeep:
        """Plan one grouping and layout."""
        regions = build_regions(self.graph, groups)
        levels, most = self._count_levels(regions), self.options.limits.levels.count
        if levels > most:
            return TooDeep(levels)
        tree = schedule_regions(
            self.graph, regions, layout, has_entrance=self.options.limits.entrance is not None
        )
        if self._joins:
            tree = shorten(tree, self.costs, most)
        if depth_of(tree) > most:
            return TooDeep(depth_of(tree))
        plan = carry_tensors(self.graph, tree)
        self.options.watch(plan)
        return Draft(groups, regions, tree, plan, predict_plan(plan, self.costs))

    @property
    def _most_plans(self) -> int:
        return max(LEAST_PLANS, min(MOST_PLANS, MOST_PLANNED // max(1, len(self.graph.nodes))))

    @property
    def _joins(self) -> bool:
        return self.options.level > 0 and self.graph.grouping != "separate"

    def _count_levels(self, regions: Sequence[Region]) -> int:
        """Return how many levels there are at least: regions that wait for each other are on one path."""
        makers = {tensor: region.name for region in regions for tensor in region.makes}
        levels: dict[str, int] = {}
        for region in regions:
            before = {makers[tensor] for tensor in region.reads if tensor in makers}
            own = 0 if self._joins and region.placement.is_free else 1
            levels[region.name] = own + max((levels[each] for each in before), default=0)
        return max(levels.values(), default=0)

    # Side by side

    def part(self, choice: Choice) -> None:
        """Part units into branches while that is clearly faster."""
        left = self._most_plans
        for _ in range(MOST_ROUNDS):
            tried = list(islice(self._try_forks(choice.draft), left))
            left -= len(tried)
            best = min(tried, key=lambda each: _rank(each[0]), default=None)
            if best is None:
                return
            draft, fork = best
            if draft.prediction.ms > MODEL.gain * choice.draft.prediction.ms:
                choice.refused = fork if not choice.forks else None
                return
            choice.draft = draft
            choice.forks.append(fork)

    def _try_forks(self, draft: Draft) -> Iterator[tuple[Draft, Fork]]:
        """Yield plans that have one more fork, in a fixed order."""
        quorums = find_quorums(self.graph.nodes)
        for group in sorted({group for group in draft.groups.values() if group.startswith(STAGE)}):
            block = self._block(draft.groups, group)
            beside = part_beside(block, self._find_waited(draft.groups, group), MODEL.hop)
            for parting in (*beside, *find_partings(block, MODEL.hop)):
                if any(_parts(parting, (combiner, *waited)) for combiner, waited in quorums):
                    continue
                groups = dict(draft.groups)
                for name, place in parting.places.items():
                    groups[name] = f"{group}/{'before' if place == BEFORE else f'{place:03}'}"
                tried = self.draft(groups, Layout())
                if isinstance(tried, Draft):
                    yield tried, self._fork(block, parting, draft, tried)

    def _find_waited(self, groups: Groups, group: str) -> set[str]:
        """Return the nodes of a group that are read by nodes which ask for a container of their own."""
        read = {
            tensor
            for node in self.graph.nodes
            if not groups[node.name].startswith(STAGE)
            for tensor in node.reads
        }
        own = (node for node in self.graph.nodes if groups[node.name] == group)
        return {node.name for node in own if any(output.tensor in read for output in node.outputs)}

    def _block(self, groups: Groups, group: str) -> Block:
        nodes = [node for node in self.graph.nodes if groups[node.name] == group]
        makers = {output.tensor: node.name for node in nodes for output in node.outputs}
        reads = {node.name: sorted({makers[each] for each in node.reads if each in makers}) for node in nodes}
        # What is only guessed is no reason for more containers.
        known = {
            name: cost.ms if (cost := self.costs.nodes[name]).source != "kind" else 0.0 for name in reads
        }
        return Block(tuple(reads), reads, known)

    def _fork(self, block: Block, parting: Parting, before: Draft, after: Draft) -> Fork:
        members: dict[int, list[str]] = defaultdict(list)
        for name in block.names:
            members[parting.places[name]].append(name)
        branches = tuple(
            Branch(
                frozenset(members[place]),
                max(members[place], key=lambda name: block.ms[name]),
                sum(block.ms[name] for name in members[place]),
            )
            for place in range(parting.width)
        )
        return Fork(branches, before.prediction.ms, after.prediction.ms)

    # One after another

    def lay_out(self, choice: Choice) -> None:
        """Try which fork runs side by side where several follow each other."""
        first = choice.draft
        for layout in islice(_layouts(len(first.regions)), self._most_plans):
            tried = self.draft(first.groups, layout)
            if isinstance(tried, Draft) and _rank(tried) < _rank(choice.draft):
                choice.draft, choice.layout, choice.by_layout_ms = tried, layout, first.prediction.ms

    def lay_out_anyhow(self, groups: Groups, layouts: Sequence[Layout], first: TooDeep) -> Choice | TooDeep:
        """Find a layout that fits where the usual one does not."""
        drafts = [(self.draft(groups, layout), layout) for layout in layouts]
        fitting = [(draft, layout) for draft, layout in drafts if isinstance(draft, Draft)]
        if not fitting:
            return first
        draft, layout = min(fitting, key=lambda each: _rank(each[0]))
        return Choice(draft, layout)


def _parts(parting: Parting, nodes: Sequence[Node]) -> bool:
    """Say whether nodes of the block that is parted get different places."""
    return len({parting.places[node.name] for node in nodes if node.name in parting.places}) > 1


def _layouts(regions: int) -> Iterator[Layout]:
    if regions < 3:
        return
    yield Layout(0, opens=False)
    for ahead in range(1, min(regions, MOST_AHEAD + 1)):
        yield Layout(ahead)


def _rank(draft: Draft) -> tuple[float, int]:
    """Order plans by predicted time, to the microsecond, then by the number of their units."""
    return round(draft.prediction.ms, 3), len(draft.prediction.units)
