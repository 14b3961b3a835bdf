"""`graphc check`: report every problem of graph files."""

import click

from graphc.cli.reporting import exit_if_rejected, graph_options, read_request, report
from graphc.compilation import compile_files


@click.command("check")
@graph_options
def command(files: tuple[str, ...], settings: tuple[str, ...], level: int, output_format: str) -> None:
    """Check graph files and report every problem; `-` is standard input.

    Exits with 0 if no error was found, and with 1 otherwise.
    """
    done = compile_files(read_request(files, settings, level))
    report(done, output_format, to_stderr=False)
    exit_if_rejected(done)
    if output_format == "text" and not len(done.sink):
        count = len(done.graphs)
        click.echo(f"{count} graph{'s' * (count != 1)}, no problems found")
