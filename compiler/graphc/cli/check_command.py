"""`graphc check`: report every problem of graph files, and of manifests for Seldon."""

from dataclasses import replace

import click

from graphc.cli.reporting import exit_if_rejected, graph_options, report
from graphc.compilation import Compilation, Request, compile_files


@click.command("check")
@graph_options
def command(
    request: Request,
    output_format: str,
) -> None:
    """Check graph files and report every problem; `-` is standard input.

    SeldonDeployments are checked too, whoever wrote them: for what the API server and Seldon would refuse, and
    for what they accept and fail on later. So are profiles of clusters. Other Kubernetes objects are passed over.

    Exits with 0 if no error was found, and with 1 otherwise.
    """
    done = compile_files(replace(request, takes_manifests=True))
    _check_manifests(done)
    report(done, output_format, to_stderr=False)
    exit_if_rejected(done)
    if output_format == "text" and not len(done.sink):
        click.echo(_summary(done))


def _summary(done: Compilation) -> str:
    counts = ((len(done.graphs), "graph"), (len(done.manifests), "manifest"), (done.profiles, "profile"))
    words = [f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts if count]
    return f"{' and '.join(words)}, no problems found" if words else "nothing to check was found"


def _check_manifests(done: Compilation) -> None:
    if not done.manifests:
        return
    # There are many rules for manifests, and graphs need none of them.
    from graphc.manifests.check import check_manifest

    for manifest in done.manifests:
        check_manifest(manifest, done.sink, done.cluster.installation)
