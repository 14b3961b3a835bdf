"""`graphc history`: list a graph's revisions in a cluster."""

import click

from graphc.cli.cluster_options import cluster_options
from graphc.cluster.client import Access, connect
from graphc.cluster.ledger import Ledger
from graphc.cluster.names import find_name
from graphc.cluster.render import entry_as_data, write_data, write_history


@click.command("history")
@click.argument("graph")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@cluster_options
def command(access: Access, graph: str, as_json: bool) -> None:
    """List the revisions of GRAPH (a name or a graph file), the newest first: when, who, and what changed."""
    cluster = connect(access)
    name, own = find_name(graph)
    namespace = access.namespace or own or cluster.namespace
    state = Ledger(cluster, namespace, name).load()
    if not state.version:
        raise click.ClickException(f"graphc remembers no graph `{name}` in the namespace `{namespace}`")
    if as_json:
        revisions = [entry_as_data(each) for each in reversed(state.entries)]
        click.echo(
            write_data({"graph": name, "serving": state.current, "revisions": list(revisions)}), nl=False
        )
    else:
        click.echo(write_history(state), nl=False)
