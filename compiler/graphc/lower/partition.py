"""Parts the nodes of a graph into regions.

A node that says something of its container gets a region of its own, or shares one with those that name the same
unit. All others are free: those between the same placed regions run together, so that a graph without placements
is one region. At -O0 every node of the file is one region. A combiner that goes on with a quorum sees its tensors
come only in its own region: it shares one with the nodes that make them, unless placements part them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from graphc.ir.graph import ChoiceWork, ComponentWork, EitherWork, Graph, Node, Placement
from graphc.ir.order import find_cycles, sort_topologically
from graphc.ir.plan import Region
from graphc.lower.options import Options
from graphc.records import record

_T = TypeVar("_T")

Groups = Mapping[str, str]
"""The group of each node, by the node's name."""

STAGE: Final = "stage "
"""How the names of groups begin whose nodes say nothing of their container."""


@record
class Entangled:
    """Units that were asked for and depend on each other: the groups, and the circles in which they do."""

    groups: Groups
    circles: tuple[tuple[str, ...], ...]


def partition_nodes(graph: Graph, options: Options) -> Groups | Entangled:
    """Return the group of each node, or the circles in which they would have to run."""
    placed = _place(graph)
    if graph.grouping != "separate":
        placed = _keep_quorums(graph, placed)
    reads = _group_reads(graph, placed)
    cycles = find_cycles(reads)
    if cycles:
        return Entangled(placed, tuple(tuple(cycle) for cycle in cycles))
    is_apart = options.level == 0 or graph.grouping == "separate"
    return placed if is_apart else _join_free(graph, placed, reads)


def _place(graph: Graph) -> Groups:
    """Give every node a group: its unit's, or one of its own."""
    makers = graph.makers
    groups: dict[str, str] = {}
    first = _place_first(graph)
    for node in graph.nodes:
        alone = first.get(node.name, f"node {node.name}")
        # A cascade's choice is a few operations on what its step answers: it goes where that is made, unless
        # it waits for other choices than its step does, which may come after the step.
        maker = makers.get(node.uses[0].tensor) if _is_confidence(node) else None
        if maker is not None and maker.guards == node.guards:
            alone = groups[maker.name]
        groups[node.name] = f"unit {node.placement.unit}" if node.placement.unit else alone
    return groups


def _place_first(graph: Graph) -> Groups:
    """Put what is decided before any node works into one group: it is little, and all of it is waited for."""
    known = {name for name, _ in graph.inputs}
    found: list[str] = []
    for node in graph.nodes:
        if isinstance(node.work, ChoiceWork | EitherWork) and known.issuperset(node.reads):
            found.append(node.name)
            known |= {output.tensor for output in node.outputs}
    return dict.fromkeys(found, f"node {found[0]}") if found else {}


def _keep_quorums(graph: Graph, groups: Groups) -> Groups:
    """Put those that make what a combiner waits for a quorum of into its group, where nothing forces them apart."""
    for combiner, waited in find_quorums(graph.nodes):
        wanted = {groups[each.name] for each in (combiner, *waited)}
        groups = _join_groups(graph, groups, wanted) or groups
    return groups


def find_quorums(nodes: Sequence[Node]) -> list[tuple[Node, list[Node]]]:
    """Return each combiner that waits for a quorum only, and the nodes that it waits for.

    One that has a fallback is two of them, the try and the answer of either.
    """
    waiting = [node for node in nodes if isinstance(node.work, ComponentWork) and node.work.waits_for_quorum]
    if not waiting:
        return []
    makers = {output.tensor: node.origin for node in nodes for output in node.outputs}
    members: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        members[node.origin].append(node)
    origins = ((node, dict.fromkeys(makers.get(use.tensor, "") for use in node.uses)) for node in waiting)
    return [(node, [each for origin in read for each in members[origin]]) for node, read in origins]


def _join_groups(graph: Graph, groups: Groups, joined: set[str]) -> Groups | None:
    """Return groups as one, with those between them; None where more than one asks for a container of its own."""
    asked = {groups[node.name] for node in graph.nodes if not node.placement.is_free}
    while True:
        own = joined & asked
        if len(own) > 1 or any(not group.startswith("unit ") for group in own):
            return None
        target = min(own or joined)
        found = {name: target if group in joined else group for name, group in groups.items()}
        cycles = [cycle for cycle in find_cycles(_group_reads(graph, found)) if target in cycle]
        if not cycles:
            return found
        joined = joined.union(*cycles)


def _is_confidence(node: Node) -> bool:
    return isinstance(node.work, ChoiceWork) and node.work.router == "confidence"


def _group_reads(graph: Graph, groups: Groups) -> dict[str, set[str]]:
    makers = {output.tensor: node.name for node in graph.nodes for output in node.outputs}
    reads: dict[str, set[str]] = {group: set() for group in groups.values()}
    for node in graph.nodes:
        group = groups[node.name]
        reads[group] |= {groups[makers[each]] for each in node.reads if each in makers} - {group}
    return reads


def _join_free(graph: Graph, placed: Groups, reads: Mapping[str, set[str]]) -> Groups:
    """Join free groups that lie between the same placed ones; stages never fall along the flow."""
    members: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        members[placed[node.name]].append(node)
    free = {group for group, nodes in members.items() if all(node.placement.is_free for node in nodes)}
    stages: dict[str, int] = {}
    for group in sort_topologically(reads):
        # Even stages are free and odd ones placed; an edge between the two goes up.
        before = [stages[each] for each in reads[group]]
        parity = 0 if group in free else 1
        lowest = max((stage + (stage % 2 != parity) for stage in before), default=parity)
        stages[group] = lowest
    return {name: f"{STAGE}{stages[group]}" if group in free else group for name, group in placed.items()}


def build_regions(graph: Graph, groups: Groups) -> tuple[Region, ...]:
    """Return the regions of the groups in a runnable order."""
    members: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        members[groups[node.name]].append(node)
    order = sort_topologically(_group_reads(graph, groups))
    names = _name_regions(graph, [members[group] for group in order])
    return tuple(
        Region(name, tuple(members[group]), _merge_placements(members[group]))
        for name, group in zip(names, order, strict=True)
    )


def _name_regions(graph: Graph, regions: Sequence[Sequence[Node]]) -> list[str]:
    """Name each region by its unit, by its last node, or, where it is the whole graph, by the graph."""
    if len(regions) == 1:
        return [graph.name]
    taken: set[str] = set()
    return [claim_name(_wanted_name(nodes), taken, graph.name) for nodes in regions]


def _wanted_name(nodes: Sequence[Node]) -> str:
    working = [node for node in nodes if not isinstance(node.work, ChoiceWork | EitherWork)]
    if not working:
        chooses = [node for node in nodes if isinstance(node.work, ChoiceWork)]
        return f"{chooses[-1].origin}-choice" if chooses else f"{nodes[-1].origin}-rows"
    return working[-1].placement.unit or working[-1].origin


def claim_name(wanted: str, taken: set[str], graph: str) -> str:
    """Return a unit name of 48 characters at most that no other unit and not the graph has."""
    number, name = 1, wanted[:48].rstrip("-")
    while name in taken or name == graph:
        number += 1
        ending = f"-{number}"
        name = wanted[: 48 - len(ending)].rstrip("-") + ending
    taken.add(name)
    return name


def _merge_placements(nodes: Sequence[Node]) -> Placement:
    """Join what the nodes of one unit say; the checks have seen that they do not differ."""
    placements = [node.placement for node in nodes]
    env = {variable.name: variable for placement in placements for variable in placement.env}
    return Placement(
        unit=_first([each.unit for each in placements]),
        image=_first([each.image for each in placements]),
        resources=_first([each.resources for each in placements]),
        replicas=_first([each.replicas for each in placements]),
        autoscaling=_first([each.autoscaling for each in placements]),
        workers=_first([each.workers for each in placements]),
        batch=_first([each.batch for each in placements]),
        env=tuple(env[name] for name in sorted(env)),
    )


def _first(values: Sequence[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)
