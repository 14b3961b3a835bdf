"""Checks that the levels of units are no more than what runs them takes."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.limits import TOO_DEEP
from graphc.ir.graph import Graph
from graphc.lower.choose import TooDeep
from graphc.lower.options import Options


def check_depth(graph: Graph, found: TooDeep, options: Options, sink: Sink) -> None:
    """Report a graph of which no plan has few enough levels."""
    most = options.limits.levels
    message = f"the graph needs {found.levels} levels of units, and {most.of} has {most.count}"
    hint = "let nodes share a `unit`, or place fewer of them"
    if options.level == 0:
        hint = "compile with -O1"
    elif graph.grouping == "separate":
        hint = "leave `placement: separate` out, or let nodes share a `unit`"
    sink.report(Diagnostic(TOO_DEEP, message, graph.nodes[-1].at, hint))
