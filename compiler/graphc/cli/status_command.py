"""`graphc status`: say how graphs are in a cluster."""

import click

from graphc.cli.cluster_options import cluster_options
from graphc.cluster.client import Access, connect
from graphc.cluster.ledger import Ledger
from graphc.cluster.names import find_name
from graphc.cluster.render import write_data
from graphc.cluster.status import find_status, find_statuses, status_as_data, write_status


@click.command("status")
@click.argument("graph", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@cluster_options
def command(access: Access, graph: str | None, as_json: bool) -> None:
    """Say what serves, how many pods are ready, why others are not, and which change is unfinished.

    GRAPH is a name or a graph file; without it, the command shows all graphs of the namespace. Exits with 0
    if all is well, and with 1 if not.
    """
    cluster = connect(access)
    if graph is None:
        found = find_statuses(cluster, cluster.namespace)
    else:
        name, own = find_name(graph)
        namespace = access.namespace or own or cluster.namespace
        state = Ledger(cluster, namespace, name).load()
        found = [find_status(cluster, state)]
        if not state.version and found[0].serving == "absent":
            raise click.ClickException(f"there is no graph `{name}` in the namespace `{namespace}`")
    if as_json:
        click.echo(write_data([status_as_data(each) for each in found]), nl=False)
    elif not found:
        click.echo(f"graphc made nothing in the namespace `{cluster.namespace}`")
    else:
        click.echo("".join(write_status(each) for each in found), nl=False)
    raise SystemExit(0 if all(each.is_well for each in found) else 1)
