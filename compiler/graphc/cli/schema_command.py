"""`graphc schema`: print the JSON Schema of a graph file, or of a cluster profile."""

import json

import click


@click.command("schema")
@click.option("--profile", is_flag=True, help="Print the schema of a cluster profile.")
def command(profile: bool) -> None:
    """Print the JSON Schema of a graph file, for an editor.

    With the YAML language server: `# yaml-language-server: $schema=graphc.schema.json` in the file's first
    line.
    """
    # Each needs the models of its own files alone.
    if profile:
        from graphc.profiles.schema import profile_schema

        schema = profile_schema()
    else:
        from graphc.spec.schema import graph_schema

        schema = graph_schema()
    click.echo(json.dumps(schema, indent=2))
