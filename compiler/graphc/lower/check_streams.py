"""Checks that what a node answers in parts is all that the graph answers: nothing else could be given on in parts."""

from collections.abc import Iterator

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.servers import CANNOT_STREAM
from graphc.ir.graph import Graph, Node, ServerWork


def check_streams(graph: Graph, sink: Sink) -> None:
    """Report nodes that are to answer in parts and cannot, each with the first reason."""
    for node in (each for each in graph.nodes if each.streams):
        found = next(_find_reasons(graph, node), None)
        if found is not None:
            why, hint = found
            sink.report(Diagnostic(CANNOT_STREAM, f"`{node.name}` cannot stream: {why}", node.at, hint))


def _find_reasons(graph: Graph, node: Node) -> Iterator[tuple[str, str]]:
    without = "leave `stream` out"
    if isinstance(node.work, ServerWork) and node.work.parameters.get("task") == "embeddings":
        yield "embeddings come whole", without
    own = {output.tensor for output in node.outputs}
    for each in graph.nodes:
        reads = {*each.reads, *(use.tensor for use in each.policy.fallback)}
        if not own.isdisjoint(reads):
            yield f"`{each.name}` reads it, and the last node alone can", without
    if node.policy.fallback:
        yield "another node may answer in its place", f"{without}, or `on_error`"
    for result in graph.outputs:
        if result.tensor not in own:
            yield f"the output `{result.name}` does not come from it", f"{without}, or that output"
