"""Puts nodes that ask for GPUs into one container where one device holds them all.

A group is what a file would say with a `unit` of several nodes: it is written into their placements, and planned as
such. It is kept unless the plan is then clearly slower: models on one device run one after another. What is light
and asks for nothing, such as a combiner of what they answer, moves in beside them where that saves a hop.

An example: `a` and `b` ask for 0.1 of a GPU each, `c` is their mean, and the cluster has quarters of devices.
With 2 ms for each, both run in one container on one quarter, which takes 8 ms; with a quarter each a request
takes 14 ms. `c` moves in. With 60 ms for each, one after another would take 128 ms, and side by side 72 ms: each
keeps a quarter of its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from graphc.diagnostics import Sink
from graphc.gpus.ask import Count, GpuAsk, show_mib
from graphc.gpus.together import NoRoom, Room, add_asks, find_room
from graphc.ir.graph import (
    ComponentWork,
    Graph,
    ModelWork,
    Node,
    Placement,
    PythonWork,
    Resources,
)
from graphc.ir.order import find_needed
from graphc.ir.plan import Costs, Decision, Region, Unit
from graphc.lower.check_batches import check_batches
from graphc.lower.check_quorums import check_quorums
from graphc.lower.choose import MOST_PLANNED, Choice, TooDeep, choose_plan
from graphc.lower.costs import MODEL, region_ms
from graphc.lower.options import Options
from graphc.lower.partition import Entangled, claim_name, partition_nodes
from graphc.lower.words import listed, quoted, show_ms, show_placement
from graphc.quantities import add_cpu, add_memory
from graphc.records import record

MOST_TRIES: Final = 32
LEAST_TRIES: Final = 3
"""Plans that are tried, of a large graph fewer."""

SHARING_UNIT: Final = "gpu"
"""What the unit of a group is called."""


@record
class Planned:
    """A graph with the plan chosen for it; `decisions` say why the units in `settled` hold what they do."""

    graph: Graph
    choice: Choice
    decisions: tuple[Decision, ...] = ()
    settled: frozenset[str] = frozenset()

    @property
    def ms(self) -> float:
        """The predicted time of a request."""
        return self.choice.draft.prediction.ms


@dataclass(slots=True)
class _Group:
    """Nodes of the file in one unit, and what moved in beside them; one node alone may still be joined."""

    members: list[Node]
    unit: str = ""
    room: Room | None = None
    beside: list[str] = field(default_factory=list[str])


@record
class _Refusal:
    """Why a node did not join others."""

    node: str
    others: tuple[str, ...]
    because: str


def share_gpus(graph: Graph, choice: Choice, costs: Costs, options: Options) -> Planned:
    """Return the graph and plan in which nodes share devices, or as they are where none should.

    Nodes that name a `unit`, or ask for a device that is `exclusive`, stay where they are.
    """
    planned = Planned(graph, choice)
    if options.level == 0 or graph.grouping == "separate":
        return planned
    asking = list(_find_asking(graph))
    if not asking:
        return planned
    tries = max(LEAST_TRIES, min(MOST_TRIES, MOST_PLANNED // len(graph.nodes)))
    search = _Search(planned, planned, costs, options, tries)
    if options.pools is not None:
        search.join_all(asking)
    search.draw_near(asking)
    return search.result()


def _find_asking(graph: Graph) -> Iterator[Node]:
    """Yield the nodes that ask for devices and name no unit, one for each of the file."""
    seen: set[str] = set()
    for node in graph.nodes:
        resources = node.placement.resources
        ask = resources.gpu if resources else None
        if ask is None or not ask.wants_gpu or node.origin in seen:
            continue
        if node.placement.unit is None:
            seen.add(node.origin)
            yield node


def _ask(node: Node) -> GpuAsk:
    resources = node.placement.resources
    assert resources
    assert resources.gpu
    return resources.gpu


@dataclass(slots=True)
class _Search:
    """The search: `first` is the plan without groups, `best` the one with all that were found so far."""

    first: Planned
    best: Planned
    costs: Costs
    options: Options
    left: int
    groups: list[_Group] = field(default_factory=list[_Group])
    refused: dict[str, _Refusal] = field(default_factory=dict[str, _Refusal])
    """The first of each node."""

    # Devices

    def join_all(self, asking: Sequence[Node]) -> None:
        """Let nodes that ask alike share one device, or each the first that has room for it beside others."""
        alike: dict[object, list[Node]] = defaultdict(list)
        for node in asking:
            ask = _ask(node)
            if ask.sharing != "exclusive" and add_asks([ask]) is not None:
                kind = replace(ask, amount=Count(0)), type(ask.amount)
                alike[kind, replace(node.placement, resources=None)].append(node)
        for first, *others in alike.values():
            groups = [_Group([first])]
            if len(others) < 2 or not self._join(groups[0], others):
                for node in others:
                    if not any(self._join(group, [node]) for group in groups):
                        groups.append(_Group([node]))
            self.groups += [group for group in groups if group.room]

    def _join(self, group: _Group, nodes: Sequence[Node]) -> bool:
        """Put nodes into a group, or remember why they are not."""
        if not self.left:
            return False
        self.left -= 1
        members = [*group.members, *nodes]
        tried = self._try_group(group, members)
        if isinstance(tried, NoRoom):
            if len(nodes) == 1:
                others = tuple(node.origin for node in group.members)
                refusal = _Refusal(nodes[0].origin, others, tried.because)
                self.refused.setdefault(nodes[0].origin, refusal)
            return False
        self.best, group.members, (group.unit, group.room) = tried[0], members, tried[1:]
        for node in nodes:
            self.refused.pop(node.origin, None)
        return True

    def _try_group(self, group: _Group, nodes: Sequence[Node]) -> tuple[Planned, str, Room] | NoRoom:
        """Plan nodes as one unit, if one device has room for them and all that has to run between them."""
        names = {node.origin for node in nodes}
        between = _find_between(self.best.graph, names)
        if between is None:
            return NoRoom("what runs between them has a container of its own")
        unit = group.unit or self._claim(SHARING_UNIT)
        whole = [each for each in self.best.graph.nodes if each.origin in names or each.name in between]
        room = self._find_room(nodes, whole)
        if isinstance(room, NoRoom):
            return room
        resources = _add_resources([node.placement.resources for node in nodes], room.ask)
        placement = replace(nodes[0].placement, unit=unit, resources=resources)
        planned = self._plan(_place(self.best.graph, names, placement, between))
        if planned is None:
            return NoRoom("as one unit they could not be run as the file says")
        is_asked = self.first.graph.grouping == "fused" or self._is_one(planned)
        if not is_asked and planned.ms * MODEL.gain > self.first.ms:
            apart, together = show_ms(self.first.ms), show_ms(planned.ms)
            return NoRoom(f"one after another a request would take {together}, and it takes {apart}")
        return planned, unit, room

    def _is_one(self, planned: Planned) -> bool:
        return self.options.limits.alone is not None and len(planned.choice.draft.prediction.units) == 1

    def _find_room(self, nodes: Sequence[Node], whole: Sequence[Node]) -> Room | NoRoom:
        # onnx takes long to import, and only graphs that ask for several devices need it.
        from graphc.hardware.region_memory import estimate_region

        placement, graph = nodes[0].placement, self.first.graph
        batch = placement.batch or graph.batch
        rows = batch.max_size if batch else self.options.batch
        workers = placement.workers or self.options.workers
        estimate = estimate_region(Region(SHARING_UNIT, tuple(whole), placement), rows, workers)
        is_known = estimate.is_complete and all(_is_counted(node) for node in nodes)
        asks = [_ask(node) for node in nodes]
        return find_room(asks, estimate.total, is_known=is_known, pools=self.options.pools or ())

    def _claim(self, wanted: str) -> str:
        """Return a name of a unit that neither a unit nor a node has."""
        nodes = self.best.graph.nodes
        taken = {node.origin for node in nodes} | {node.placement.unit or "" for node in nodes}
        return claim_name(wanted, taken, self.best.graph.name)

    # What is beside them

    def draw_near(self, asking: Sequence[Node]) -> None:
        """Let light units move in with those that have a device, while that saves a hop."""
        grouped = {node.origin for group in self.groups for node in group.members}
        units = {node.placement.unit for node in self.best.graph.nodes}
        alone = [node for node in asking if node.origin not in grouped and node.origin not in units]
        groups = [*self.groups, *(_Group([node], node.origin) for node in alone)]
        while self.left and any(
            self._draw_one(group, unit) for group in groups for unit in self._light_units()
        ):
            pass
        self.groups = [group for group in groups if len(group.members) > 1 or group.beside]

    def _light_units(self) -> list[Unit]:
        return [unit for unit in self.best.choice.draft.plan.root.walk() if _is_light(unit, self.costs)]

    def _draw_one(self, group: _Group, unit: Unit) -> bool:
        """Plan a light unit's nodes as a part of a group's, and say whether that is worth it."""
        graph, names = self.best.graph, {node.origin for node in group.members}
        inside = [node for node in graph.nodes if node.origin in names and not node.placement.is_free]
        if not self.left or inside[0].placement.image is not None or not _are_near(unit, inside):
            return False
        self.left -= 1
        moving = {node.name for node in unit.region.nodes}
        between = _find_between(graph, names, moving)
        moved = [node for node in graph.nodes if between is not None and node.name in between]
        # What runs for some requests only would have the device's unit called for all.
        if not moved or not all(_is_own(node) and node.guards == inside[0].guards for node in moved):
            return False
        unit_of = replace(inside[0].placement, unit=group.unit)
        planned = self._plan(_place(graph, names, unit_of, {node.name for node in moved}))
        saved = MODEL.hop / 2
        if planned is None or planned.ms > self.best.ms - saved:
            return False
        self.best = planned
        group.beside += [node.origin for node in moved]
        return True

    # Plans

    def _plan(self, graph: Graph) -> Planned | None:
        """Return the best plan of a graph whose nodes were placed anew; None where that breaks a rule."""
        groups = partition_nodes(graph, self.options)
        if isinstance(groups, Entangled):
            return None
        choice = choose_plan(graph, groups, self.costs, self.options)
        if isinstance(choice, TooDeep):
            return None
        plan, sink = choice.draft.plan, Sink()
        check_quorums(plan, graph, sink)
        check_batches(plan, graph, sink)
        return None if sink.has_errors else Planned(graph, choice)

    def result(self) -> Planned:
        """Return the best plan, with why it is so."""
        plan = self.best.choice.draft.plan
        units = {node.origin: unit.name for unit in plan.root.walk() for node in unit.region.nodes}
        homes = [(group, units[group.members[0].origin]) for group in self.groups]
        decisions = [each for group, unit in homes for each in self._say(group, unit)]
        decisions += [_say_refused(each, units) for each in self.refused.values()]
        settled = frozenset(unit for _, unit in homes)
        return replace(self.best, decisions=tuple(decisions), settled=settled)

    def _say(self, group: _Group, unit: str) -> Iterator[Decision]:
        if group.room is None:
            yield Decision("apart", (unit,), show_placement(group.members))
        else:
            yield Decision("pooled", (unit,), self._say_shared(group.room, group.members))
        if group.beside:
            because = f"{quoted(group.beside)} beside the GPU: less work than the hop that this saves"
            yield Decision("fused", (unit,), because)

    def _say_shared(self, room: Room, nodes: Sequence[Node]) -> str:
        asked = list(dict.fromkeys(str(_ask(node)) for node in nodes))
        need, has = show_mib(room.need_mib), show_mib(room.has_mib)
        return (
            f"{quoted([node.origin for node in nodes])} ask for {listed(asked)}{' each' if len(asked) == 1 else ''}, "
            f"and one device holds all of them, estimated to need {need} of {has}; a request takes "
            f"{show_ms(self.best.ms)}, and {show_ms(self.first.ms)} with a device for each"
        )


def _say_refused(refusal: _Refusal, units: Mapping[str, str]) -> Decision:
    names = tuple(dict.fromkeys(units[name] for name in (*refusal.others, refusal.node)))
    because = f"`{refusal.node}` shares no device with {quoted(refusal.others)}: {refusal.because}"
    return Decision("apart", names, because)


def _find_between(graph: Graph, names: set[str], more: set[str] | None = None) -> set[str] | None:
    """Return the nodes that join those of a file's nodes in one unit: `more`, and all that run between them.

    None where any of them asks for a container of its own.
    """
    makers = {output.tensor: node.name for node in graph.nodes for output in node.outputs}
    reads = {node.name: {makers[each] for each in node.reads if each in makers} for node in graph.nodes}
    read_by: dict[str, set[str]] = defaultdict(set)
    for name, sources in reads.items():
        for source in sources:
            read_by[source].add(name)
    inside = {node.name for node in graph.nodes if node.origin in names and not node.placement.is_free}
    ends = inside | (more or set())
    between = (find_needed(reads, ends) & find_needed(read_by, ends)) - inside
    free = {node.name for node in graph.nodes if node.placement.is_free}
    held = {node.placement.unit for node in graph.nodes if node.name in inside} - {None}
    free |= {node.name for node in graph.nodes if node.placement.unit in held}
    return between if between <= free else None


def _place(graph: Graph, names: set[str], placement: Placement, between: set[str]) -> Graph:
    """Return the graph with a file's nodes, and those between them, in one unit."""

    def place(node: Node) -> Node:
        if node.origin in names and not node.placement.is_free:
            return replace(node, placement=placement)
        return replace(node, placement=Placement(placement.unit)) if node.name in between else node

    return graph.with_nodes(tuple(place(node) for node in graph.nodes))


def _add_resources(each: Sequence[Resources | None], ask: GpuAsk) -> Resources:
    said = [resources for resources in each if resources]
    cpus = [resources.cpu for resources in said if resources.cpu is not None]
    memories = [resources.memory for resources in said if resources.memory is not None]
    return Resources(add_cpu(cpus) if cpus else None, add_memory(memories) if memories else None, ask)


def _is_counted(node: Node) -> bool:
    """Say whether it is known what a node takes of a device's memory."""
    work = node.work
    if isinstance(work, ModelWork):
        return work.gpu_mib is not None or work.framework == "onnx"
    return not isinstance(work, PythonWork) or work.gpu_mib is not None


def _is_own(node: Node) -> bool:
    """Say whether graphc knows what a node does, and that it is little."""
    return isinstance(node.work, ComponentWork)


def _is_light(unit: Unit, costs: Costs) -> bool:
    region = unit.region
    is_own = region.placement.is_free and all(_is_own(node) for node in region.nodes)
    return bool(region.nodes) and is_own and region_ms(region.nodes, costs) < MODEL.hop


def _are_near(unit: Unit, nodes: Sequence[Node]) -> bool:
    """Say whether a unit reads what nodes make, or the reverse."""
    made = {output.tensor for node in nodes for output in node.outputs}
    read = {tensor for node in nodes for tensor in node.reads}
    return bool(unit.region.reads & made or unit.region.makes & read)
