"""`graphc schema`: print the JSON Schema of a graph file."""

import json

import click

from graphc.spec.schema import graph_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of a graph file, for an editor.

    With the YAML language server: `# yaml-language-server: $schema=graphc.schema.json` in the file's first line.
    """
    click.echo(json.dumps(graph_schema(), indent=2))
