"""The planning's pipeline: fallbacks, conditions, regions, tree, liveness."""

from collections.abc import Callable
from typing import Final

from graphc.diagnostics import Sink
from graphc.ir.graph import Graph
from graphc.ir.plan import Plan
from graphc.lower.check_batches import check_batches
from graphc.lower.check_deadline import check_deadline
from graphc.lower.check_depth import check_depth
from graphc.lower.check_merging import check_merging
from graphc.lower.check_quorums import check_quorums
from graphc.lower.check_rows import check_rows
from graphc.lower.check_units import check_units
from graphc.lower.choose import TooDeep, choose_plan
from graphc.lower.conditions import lower_conditions
from graphc.lower.costs import estimate_costs
from graphc.lower.decide import complete_plan
from graphc.lower.fallbacks import lower_fallbacks
from graphc.lower.name_root import name_root
from graphc.lower.options import Options
from graphc.lower.partition import Entangled, partition_nodes
from graphc.lower.pool import pool_nodes
from graphc.lower.spare_devices import spare_devices
from graphc.lower.trim import trim_outputs

Rewrite = Callable[[Graph], Graph]

GRAPH_CHECKS: Final[tuple[Callable[[Graph, Sink], None], ...]] = (check_rows, check_deadline)
"""What a graph has to keep for it to be lowered."""

REWRITES: Final[tuple[Rewrite, ...]] = (lower_fallbacks, lower_conditions, trim_outputs)
"""What makes a graph ready to be planned; these cannot fail, and report nothing."""

PLAN_CHECKS: Final[tuple[Callable[[Plan, Graph, Sink], None], ...]] = (
    check_quorums,
    check_batches,
)
"""What a plan has to keep; each is shown the graph too, as it was before it was lowered."""


def plan_graph(graph: Graph, options: Options, sink: Sink) -> Plan | None:
    """Return the plan of a checked graph; None where its placements ask for what the engine cannot do."""
    for check in GRAPH_CHECKS:
        check(graph, sink)
    if sink.has_errors:
        return None
    straight = graph
    for rewrite in REWRITES:
        straight = rewrite(straight)
        options.watch(straight)
    groups = partition_nodes(straight, options)
    if isinstance(groups, Entangled):
        check_units(straight, groups, sink)
        return None
    costs = estimate_costs(graph, straight, options)
    choice = choose_plan(straight, groups, costs, options)
    if isinstance(choice, TooDeep):
        check_depth(graph, choice, options, sink)
        return None
    plan = complete_plan(pool_nodes(straight, choice, costs, options), costs, options)
    plan = spare_devices(name_root(plan), options.given)
    for check_plan in PLAN_CHECKS:
        check_plan(plan, graph, sink)
    if sink.has_errors:
        return None
    if options.level > 1:
        check_merging(sink)
        plan = plan if sink.has_errors else _merge(plan, options)
    options.watch(plan)
    return plan


def _merge(plan: Plan, options: Options) -> Plan:
    # onnx and numpy take long to import, and only this level needs them.
    from graphc.lower.merge_onnx import merge_onnx

    return merge_onnx(plan, options)
