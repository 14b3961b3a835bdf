"""Checks that the time which nodes may take together is within the graph's deadline."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import PAST_DEADLINE
from graphc.durations import show_duration
from graphc.ir.graph import Graph
from graphc.ir.order import find_longest
from graphc.lower.conditions import lower_conditions
from graphc.lower.fallbacks import lower_fallbacks


def check_deadline(graph: Graph, sink: Sink) -> None:
    """Report timeouts that, retries included, sum to more than the deadline along one way.

    A node without a timeout counts as nothing; a fallback comes after the node that it stands for.
    """
    if graph.deadline_ms is None:
        return
    straight = lower_conditions(lower_fallbacks(graph))
    makers = straight.makers
    reads = {
        node.name: {makers[each].name for each in node.reads if each in makers} for node in straight.nodes
    }
    times = {node.name: (node.policy.timeout_ms or 0) * (1 + node.policy.retries) for node in straight.nodes}
    way = find_longest(reads, times)
    total = sum(times[name] for name in way)
    if total > graph.deadline_ms:
        origins = {node.name: node.origin for node in straight.nodes}
        named = " -> ".join(f"`{origins[name]}`" for name in way if times[name])
        message = (
            f"the timeouts along {named} sum to {show_duration(total)}, "
            f"and the deadline is {show_duration(graph.deadline_ms)}"
        )
        sink.report(Diagnostic(PAST_DEADLINE, message, graph.deadline_at))
