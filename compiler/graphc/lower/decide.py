"""Writes down why a plan is as it is, while what it was chosen from is still known."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from graphc.ir.graph import ComponentWork, Graph
from graphc.ir.limits import Limits
from graphc.ir.plan import Costs, Decision, Plan, Unit
from graphc.lower.choose import Branch, Choice, Fork
from graphc.lower.costs import MODEL, region_ms
from graphc.lower.options import Options
from graphc.lower.share_gpus import Planned
from graphc.lower.words import listed, quoted, show_count, show_ms, show_placement


def complete_plan(planned: Planned, costs: Costs, options: Options) -> Plan:
    """Return the chosen plan with its costs, its prediction and its decisions."""
    draft, graph = planned.choice.draft, planned.graph
    forced = _decide_forced(graph, options, draft.plan)
    decisions = (*forced, *planned.decisions, *_decide_units(planned, costs, options))
    return replace(draft.plan, decisions=decisions, costs=costs, prediction=draft.prediction)


def _decide_forced(graph: Graph, options: Options, plan: Plan) -> Iterator[Decision]:
    units = tuple(unit.name for unit in plan.root.walk())
    if options.level == 0:
        yield Decision("forced", units, "-O0 gives every node a unit of its own")
    elif graph.grouping != "auto":
        yield Decision("forced", units, f"the file says `placement: {graph.grouping}`")
    elif options.shares_device and options.given:
        because = f"the graph asks for {options.given.gpu}, which all nodes share that say nothing of it"
        yield Decision("pooled", units, because)
    elif options.limits.alone and len(units) == 1:
        yield Decision("forced", units, options.limits.alone)


def _decide_units(planned: Planned, costs: Costs, options: Options) -> Iterator[Decision]:
    choice, graph = planned.choice, planned.graph
    plan = choice.draft.plan
    is_searched = options.level > 0 and graph.grouping == "auto"
    yield from (_decide_fork(fork, plan) for fork in choice.forks)
    for unit in plan.root.walk():
        yield from _decide_unit(unit, planned.settled, options.limits)
        if (
            is_searched
            and len({node.origin for node in unit.region.nodes}) > 1
            and unit.region.placement.is_free
        ):
            yield _decide_fused(unit, choice, costs)
    yield from _decide_joined(choice, options.limits.levels.count)
    if choice.by_layout_ms is not None:
        because = (
            f"of the orders in which they can run, this takes {show_ms(choice.draft.prediction.ms)}, "
            f"and the one that forks first {show_ms(choice.by_layout_ms)}"
        )
        yield Decision("sequence", tuple(unit.name for unit in plan.root.walk()), because)


def _decide_fork(fork: Fork, plan: Plan) -> Decision:
    units = {node.name: unit.name for unit in plan.root.walk() for node in unit.region.nodes}
    names = tuple(dict.fromkeys(units[branch.heaviest] for branch in fork.branches))
    branches = listed([f"{_name(branch)} ({show_ms(branch.ms)})" for branch in fork.branches])
    waits = (
        "needs nothing of the units that nodes ask for"
        if len(fork.branches) == 1
        else "need nothing of each other"
    )
    because = f"{branches} {waits}: {show_ms(fork.parted_ms)} side by side, {show_ms(fork.fused_ms)} one after another"
    return Decision("parallel", names, because)


def _name(branch: Branch) -> str:
    """Name a branch by its heaviest node."""
    name, others = f"`{branch.heaviest.partition(':')[0]}`", len(branch.nodes) - 1
    return f"{name} with {others} more node{'s' * (others > 1)}" if others else name


def _decide_unit(unit: Unit, settled: frozenset[str], limits: Limits) -> Iterator[Decision]:
    if unit.route is not None:
        router = unit.route.choice.partition(":")[0]
        below = [node.origin for each in unit.walk() for node in each.region.nodes]
        because = f"what is below it, {quoted(below)}, runs only for some branches of `{router}`"
        yield Decision("route", (unit.name,), because)
    elif not unit.region.nodes and unit.type == "MODEL":
        because = limits.entrance or "no output needs a node, and it passes inputs on"
        yield Decision("entrance", (unit.name,), because)
    elif not unit.region.nodes:
        because = "the branches' messages have to be put together before the next unit reads them"
        yield Decision("join", (unit.name,), because)
    elif not unit.region.placement.is_free and unit.name not in settled:
        yield Decision("apart", (unit.name,), show_placement(unit.region.nodes))
    for node in unit.region.nodes:
        if isinstance(node.work, ComponentWork) and node.work.waits_for_quorum:
            because = (
                f"`{node.origin}` goes on with a quorum, and sees its tensors come only where they are made"
            )
            yield Decision("fused", (unit.name,), because)
    if unit.type == "OUTPUT_TRANSFORMER":
        because = f"it comes after a fork, and {limits.walker} runs what follows one unit after another"
        yield Decision("sequence", (unit.name,), because)


def _decide_fused(unit: Unit, choice: Choice, costs: Costs) -> Decision:
    nodes = unit.region.nodes
    count = len({node.origin for node in nodes})
    because = (
        f"none of its {count} nodes asks for a container of its own; together they take "
        f"{show_ms(region_ms(nodes, costs))}, and each further hop would add {show_ms(MODEL.hop)}"
    )
    names = {node.name for node in nodes}
    refused = choice.refused
    if refused and all(branch.nodes <= names for branch in refused.branches):
        branches = listed([_name(branch) for branch in refused.branches])
        beside = " and the units that nodes ask for" if len(refused.branches) == 1 else ""
        because += (
            f"; {branches}{beside} side by side would take {show_ms(refused.parted_ms)} instead of "
            f"{show_ms(refused.fused_ms)}, which is not clearly less"
        )
    return Decision("fused", (unit.name,), because)


def _decide_joined(choice: Choice, levels: int) -> Iterator[Decision]:
    planned = {region.name for region in choice.draft.regions}
    left = {unit.name: unit for unit in choice.draft.plan.root.walk()}
    home: Mapping[str, str] = {node.name: unit.name for unit in left.values() for node in unit.region.nodes}
    for region in choice.draft.regions:
        if region.name in planned - left.keys():
            unit = home[region.nodes[0].name]
            because = (
                f"`{region.name}` runs in it too, as the tree has no more than {show_count(levels)} levels"
            )
            yield Decision("shortened", (unit,), because)
