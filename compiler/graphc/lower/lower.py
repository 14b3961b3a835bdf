"""The lowering's pipeline: fallbacks, conditions, regions, tree, liveness."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import TOO_DEEP
from graphc.graph import Graph
from graphc.lower.carry import carry_tensors
from graphc.lower.check_quorums import check_quorums
from graphc.lower.conditions import lower_conditions
from graphc.lower.fallbacks import lower_fallbacks
from graphc.lower.options import Options
from graphc.lower.partition import partition_regions
from graphc.lower.schedule import schedule_regions
from graphc.lower.shorten import MAX_DEPTH, shorten
from graphc.lower.trim import trim_outputs
from graphc.plan import Plan


def lower_graph(graph: Graph, options: Options, sink: Sink) -> Plan | None:
    """Return the plan of a checked graph; None where its placements ask for what the engine cannot do."""
    straight = trim_outputs(lower_conditions(lower_fallbacks(graph)))
    regions = partition_regions(straight, options, sink)
    if regions is None:
        return None
    tree = schedule_regions(straight, regions)
    if options.level > 0:
        tree = shorten(tree)
    plan = carry_tensors(straight, tree)
    if plan.root.depth > MAX_DEPTH:
        deepest = graph.nodes[-1]
        message = f"the graph needs {plan.root.depth} levels of units, and a SeldonDeployment has {MAX_DEPTH}"
        hint = (
            "compile with -O1" if options.level == 0 else "let nodes share a `unit`, or place fewer of them"
        )
        sink.report(Diagnostic(TOO_DEEP, message, deepest.at, hint))
        return None
    check_quorums(plan, sink)
    if sink.has_errors:
        return None
    return _merge(plan, options, sink) if options.level > 1 else plan


def _merge(plan: Plan, options: Options, sink: Sink) -> Plan:
    # onnx and numpy take long to import, and only this level needs them.
    from graphc.lower.merge_onnx import merge_onnx

    return merge_onnx(plan, options, sink)
