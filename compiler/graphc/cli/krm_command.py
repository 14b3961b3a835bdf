"""`graphc krm`: compile graphs as a function of kustomize's, from a ResourceList to a ResourceList."""

import sys

import click

from graphc.diagnostics.render import render
from graphc.krm import run_function
from graphc.source.files import LARGEST, STDIN


@click.command("krm")
def command() -> None:
    """Read a ResourceList on standard input and write it with its graphs compiled, as functions of kustomize do.

    The command compiles all items of the kind InferenceGraph, the functionConfig if it is one, and the files
    that it names in `spec.files`. Paths start at the working folder, which is the kustomization's.
    """
    data = sys.stdin.buffer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise click.ClickException(f"standard input has more than {LARGEST // 1024**2} MiB")
    source = data.decode("utf-8", "replace")
    done = run_function(source)
    if done is None:
        raise click.ClickException(
            "standard input holds no ResourceList; kustomize writes one for its functions"
        )
    if done.problems:
        click.echo(render(done.problems, "text", {STDIN: source}, color=False).rstrip("\n"), err=True)
    click.echo(done.text, nl=False)
    if done.has_failed:
        raise SystemExit(1)
