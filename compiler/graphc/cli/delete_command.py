"""`graphc delete`: delete what graphc made of a graph in a cluster."""

import click

from graphc.cli.cluster_options import cluster_options, confirm, say
from graphc.cluster.client import Access, connect
from graphc.cluster.interrupt import stoppable
from graphc.cluster.ledger import Ledger
from graphc.cluster.names import find_name
from graphc.cluster.reverting import delete_all, find_all


@click.command("delete")
@click.argument("graph")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options
def command(access: Access, graph: str, yes: bool) -> None:
    """Delete GRAPH (a name or a graph file), its config maps and its history; objects of others stay."""
    cluster = connect(access)
    name, own = find_name(graph)
    ledger = Ledger(cluster, access.namespace or own or cluster.namespace, name)
    state = ledger.take_over(say)
    refs, foreign = find_all(cluster, state)
    if not refs and not state.version:
        raise click.ClickException(f"graphc made no `{name}` in the namespace `{ledger.namespace}`")
    for ref in refs:
        click.echo(f"  - {ref}")
    for ref in foreign:
        click.echo(f"  ! {ref} belongs to somebody else now; it stays")
    click.echo(f"  - the history of `{name}`")
    confirm(f"delete `{name}`?", yes=yes)
    with stoppable(say):
        delete_all(cluster, ledger, state, refs, say)
    click.echo(f"{name}: deleted")
