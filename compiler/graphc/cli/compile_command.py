"""`graphc compile`: print the manifests that a graph compiles to."""

from pathlib import Path

import click

from graphc.cli.reporting import exit_if_rejected, graph_options, report
from graphc.compile.compile_files import compile_files
from graphc.compile.request import Request
from graphc.documents import write_json, write_yaml
from graphc.whole_files import write_whole


@click.command("compile")
@graph_options
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to this file.")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def command(
    request: Request,
    output_format: str,
    output: str | None,
    form: str,
) -> None:
    """Compile graph files to manifests for `kubectl apply --server-side -f -`; `-` is standard input.

    The command writes nothing if there is an error. Problems go to standard error.
    """
    done = compile_files(request)
    report(done, output_format, to_stderr=True)
    exit_if_rejected(done)
    documents = [document for emission in done.emissions for document in emission.documents]
    text = write_yaml(documents) if form == "yaml" else write_json(documents)
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            write_whole(Path(output), text)
        except OSError as error:
            raise click.ClickException(f"cannot write {output}: {error.strerror}") from error
