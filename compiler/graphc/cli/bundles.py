"""From files to what a cluster is to hold; the commands that plan and apply share it."""

from collections.abc import Sequence

import click

from graphc.cli.reporting import exit_if_rejected, read_request, report
from graphc.cluster.bundle import Bundle, make_bundle
from graphc.compilation import CheckedGraph, compile_files


def read_bundles(
    files: tuple[str, ...],
    settings: tuple[str, ...],
    level: int,
    costs: str | None,
    batch: int,
    output_format: str,
) -> Sequence[CheckedGraph]:
    """Compile the files; problems are reported, and end the command."""
    done = compile_files(read_request(files, settings, level, costs, batch))
    report(done, output_format, to_stderr=True)
    exit_if_rejected(done)
    graphs = [graph for graph in done.graphs if graph.emission is not None]
    if not graphs:
        raise click.ClickException("the files hold no graph")
    return graphs


def place(graph: CheckedGraph, asked: str | None, default: str) -> Bundle:
    """Return a graph's documents in their namespace."""
    metadata, emission = graph.spec.fields.metadata, graph.emission
    assert emission is not None
    return make_bundle(metadata.name, metadata.namespace, emission.documents, asked, default)
