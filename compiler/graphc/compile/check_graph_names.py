"""Checks that no two graphs have one name."""

from collections.abc import Sequence

from graphc.diagnostics import Diagnostic, Sink
from graphc.diagnostics.codes.fields import DUPLICATE_NAME
from graphc.spec.read_spec import GraphSpec


def check_graph_names(graphs: Sequence[GraphSpec], sink: Sink) -> None:
    """Report graphs of one namespace that are called alike."""
    seen = set[tuple[str | None, str]]()
    for graph in graphs:
        metadata = graph.fields.metadata
        name = (metadata.namespace, metadata.name)
        if name in seen:
            message = f"two graphs are called `{metadata.name}`"
            sink.report(Diagnostic(DUPLICATE_NAME, message, graph.at("metadata", "name")))
        seen.add(name)
