"""From files to what a cluster is to hold; the commands that plan and apply share it."""

from collections.abc import Sequence
from dataclasses import replace

import click

from graphc.cli.reporting import exit_if_rejected, report
from graphc.cluster.bundle import Bundle, make_bundle
from graphc.cluster.find_serving import SERVINGS
from graphc.compile.compile_files import compile_files
from graphc.compile.pipeline import CheckedGraph
from graphc.compile.request import Request
from graphc.frontend.check_gates import check_decidable
from graphc.frontend.predictors import predictors_of


def read_bundles(request: Request, output_format: str) -> Sequence[CheckedGraph]:
    """Compile the files; problems are reported, and end the command."""
    done = compile_files(request)
    report(done, output_format, to_stderr=True)
    exit_if_rejected(done)
    refuse_unknown(replace(request, cluster=done.cluster).target_name)
    graphs = [graph for graph in done.graphs if graph.emission is not None]
    if not graphs:
        raise click.ClickException("the files hold no graph")
    return graphs


def refuse_unknown(target: str) -> None:
    """End the command for a target whose objects it does not know: it would do half of what it says."""
    if target not in {each.target for each in SERVINGS}:
        raise click.ClickException(
            f"this command does not know what it is for the target `{target}` to serve: "
            "`graphc compile FILE | kubectl apply --server-side -f -` applies its graphs"
        )


def place(graph: CheckedGraph, asked: str | None, default: str) -> Bundle:
    """Return a graph's documents in their namespace."""
    metadata, emission = graph.spec.fields.metadata, graph.emission
    assert emission is not None
    return make_bundle(metadata.name, metadata.namespace, emission.documents, asked, default)


def read_local_bundle(path: str) -> Bundle:
    """Compile the one graph of a file as a run on this machine does; problems are reported, and end the command."""
    done = compile_files(Request([path], purpose="local"))
    report(done, "text", to_stderr=True)
    exit_if_rejected(done)
    graphs = [graph for graph in done.graphs if graph.emission is not None]
    if len(graphs) != 1:
        raise click.ClickException(f"{path} holds {len(graphs)} graphs; one is promoted at a time")
    check_decidable(graphs[0].spec, predictors_of(graphs[0].spec), done.sink)
    if done.sink.has_errors:
        report(done, "text", to_stderr=True)
        exit_if_rejected(done)
    return place(graphs[0], None, "default")
