"""`graphc check`: report every problem of graph files, and of manifests for Seldon."""

from dataclasses import replace

import click

from graphc.cli.reporting import exit_if_rejected, graph_options, report
from graphc.compile.compile_files import Compilation, compile_files
from graphc.compile.request import Request


@click.command("check")
@graph_options
@click.option(
    "--load",
    is_flag=True,
    help="Load and run every model and Python node too. This runs code of the files.",
)
@click.option("--strict", is_flag=True, help="Make nodes that no check has judged an error.")
def command(
    request: Request,
    output_format: str,
    load: bool,
    strict: bool,
) -> None:
    """Check graph files and report every problem; `-` is standard input.

    The command also checks profiles of clusters, and SeldonDeployments of any origin: for faults that the API
    server and Seldon would refuse, and for those that they accept and fail on later. It passes over other
    Kubernetes objects.

    Exits with 0 if there is no error, and with 1 otherwise.
    """
    done = compile_files(replace(request, takes_manifests=True))
    _check_manifests(done)
    unjudged = _try_nodes(done, load=load, strict=strict)
    report(done, output_format, to_stderr=False)
    exit_if_rejected(done)
    if output_format == "text" and not len(done.sink):
        click.echo(_summary(done) + unjudged)


def _summary(done: Compilation) -> str:
    counts = ((len(done.graphs), "graph"), (len(done.manifests), "manifest"), (done.profiles, "profile"))
    words = [f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts if count]
    return f"{' and '.join(words)}, no problems found" if words else "nothing to check was found"


def _try_nodes(done: Compilation, *, load: bool, strict: bool) -> str:
    """Load the nodes if that is wanted; return the summary's words on those that no check has judged."""
    if done.sink.has_errors or not done.graphs:
        return ""
    # What knows of nodes is not needed to check manifests.
    from graphc.trial.subjects import list_unjudged, report_unjudged

    if load:
        # Few checks load anything.
        from graphc.trial.check_loading import check_loading

        check_loading(done, done.sink)
    if strict:
        report_unjudged(done, done.sink, was_run=load)
        return ""
    names = list_unjudged(done, was_run=load)
    if not names:
        return ""
    listed = ", ".join(f"`{name}`" for name in names)
    verbs = "loads and runs" if len(names) == 1 else "load and run"
    return f"; not judged{'' if load else ' without `--load`'}: whether {listed} {verbs}"


def _check_manifests(done: Compilation) -> None:
    if not done.manifests:
        return
    # There are many rules for manifests, and graphs need none of them.
    from graphc.lint.check import check_manifest
    from graphc.lint.check_deployment_names import check_deployment_names

    check_deployment_names(done.manifests, done.sink)
    for manifest in done.manifests:
        check_manifest(manifest, done.sink, done.cluster.installation)
