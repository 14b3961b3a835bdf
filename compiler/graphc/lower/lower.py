"""The lowering's pipeline: fallbacks, conditions, regions, tree, liveness."""

from collections.abc import Callable
from typing import Final

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import TOO_DEEP
from graphc.graph import Graph
from graphc.lower.check_batches import check_batches
from graphc.lower.check_calls import check_calls
from graphc.lower.check_quorums import check_quorums
from graphc.lower.choose import TooDeep, choose_plan
from graphc.lower.conditions import lower_conditions
from graphc.lower.costs import estimate_costs
from graphc.lower.decide import complete_plan
from graphc.lower.fallbacks import lower_fallbacks
from graphc.lower.name_root import name_root
from graphc.lower.options import Options
from graphc.lower.partition import partition_nodes
from graphc.lower.pool import pool_nodes
from graphc.lower.shorten import MAX_DEPTH
from graphc.lower.spare_devices import spare_devices
from graphc.lower.trim import trim_outputs
from graphc.plan import Plan

Rewrite = Callable[[Graph], Graph]

REWRITES: Final[tuple[Rewrite, ...]] = (lower_fallbacks, lower_conditions, trim_outputs)
"""What makes a graph ready to be planned."""


def lower_graph(graph: Graph, options: Options, sink: Sink) -> Plan | None:
    """Return the plan of a checked graph; None where its placements ask for what the engine cannot do."""
    straight = graph
    for rewrite in REWRITES:
        straight = rewrite(straight)
        options.watch(straight)
    groups = partition_nodes(straight, options, sink)
    if groups is None:
        return None
    costs = estimate_costs(graph, straight, options)
    choice = choose_plan(straight, groups, costs, options)
    if isinstance(choice, TooDeep):
        _report_depth(graph, options, choice, sink)
        return None
    plan = complete_plan(pool_nodes(straight, choice, costs, options), costs, options)
    plan = spare_devices(name_root(plan), options.given)
    check_quorums(plan, sink)
    check_batches(plan, graph.types, sink)
    check_calls(plan, graph, sink)
    if sink.has_errors:
        return None
    plan = _merge(plan, options, sink) if options.level > 1 else plan
    options.watch(plan)
    return plan


def _report_depth(graph: Graph, options: Options, found: TooDeep, sink: Sink) -> None:
    message = f"the graph needs {found.levels} levels of units, and a SeldonDeployment has {MAX_DEPTH}"
    hint = "let nodes share a `unit`, or place fewer of them"
    if options.level == 0:
        hint = "compile with -O1"
    elif graph.grouping == "separate":
        hint = "leave `placement: separate` out, or let nodes share a `unit`"
    sink.report(Diagnostic(TOO_DEEP, message, graph.nodes[-1].at, hint))


def _merge(plan: Plan, options: Options, sink: Sink) -> Plan:
    # onnx and numpy take long to import, and only this level needs them.
    from graphc.lower.merge_onnx import merge_onnx

    return merge_onnx(plan, options, sink)
