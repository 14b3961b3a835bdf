"""Checks that what a decision by row parts has rows that are known."""

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.flow import NO_ROWS
from graphc.ir.graph import Graph
from graphc.lower.conditions import find_ungatherable
from graphc.lower.fallbacks import lower_fallbacks


def check_rows(graph: Graph, sink: Sink) -> None:
    """Report tensors of unknown rows that are read where some rows are decided on."""
    for decider, node, use in find_ungatherable(lower_fallbacks(graph)):
        reader = "it" if node.name == decider else f"`{node.name}`"
        message = (
            f"`{decider}` decides for each row, and {reader} reads `{use.tensor}`, whose rows are not known"
        )
        sink.report(Diagnostic(NO_ROWS, message, use.at, "declare its type, or decide `per: request`"))
