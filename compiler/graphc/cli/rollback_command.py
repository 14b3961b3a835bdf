"""`graphc rollback`: return a graph in a cluster to a revision."""

import sys

import click

from graphc.cli.changing import carry_out
from graphc.cli.cluster_options import Seconds, cluster_options, confirm, say
from graphc.cluster.change import Orders
from graphc.cluster.client import Access, connect
from graphc.cluster.interrupt import stoppable
from graphc.cluster.ledger import Ledger
from graphc.cluster.names import find_name
from graphc.cluster.planning import plan_graph
from graphc.cluster.render import describe_pending, write_plan
from graphc.cluster.reverting import bundle_of, find_revision, promotion_after, take_back


@click.command("rollback")
@click.argument("graph")
@click.argument("revision", type=click.IntRange(1), required=False)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that other managers set.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the graph serves.")
@click.option("--timeout", type=Seconds(), default="10m", show_default=True, help="The longest wait.")
@cluster_options
def command(
    access: Access,
    graph: str,
    revision: int | None,
    yes: bool,
    force_conflicts: bool,
    wait: bool,
    timeout: float,
) -> None:
    """Return GRAPH (a name or a graph file) to a revision that `graphc history` lists.

    Without REVISION, the command takes back an unfinished change, or else returns to the revision before the
    present one.
    """
    cluster = connect(access)
    name, own = find_name(graph)
    ledger = Ledger(cluster, access.namespace or own or cluster.namespace, name)
    state = ledger.take_over(say)
    if not state.version:
        raise click.ClickException(
            f"graphc remembers no graph `{name}` in the namespace `{ledger.namespace}`"
        )
    if state.pending is not None and revision is None:
        click.echo(describe_pending(state.pending))
        confirm("take it back?", yes=yes)
        with stoppable(say) as stopper:
            click.echo(f"{name}: {take_back(cluster, ledger, state, stopper)}")
        return
    entry = find_revision(state, revision)
    plan = plan_graph(cluster, bundle_of(ledger, entry.revision), state)
    click.echo(write_plan(plan), nl=False)
    if plan.is_silent and not plan.conflicts and state.pending is None:
        return
    if plan.conflicts and not force_conflicts:
        raise click.ClickException("others decided fields of it otherwise; --force-conflicts takes them over")
    confirm(f"return to revision {entry.revision}?", yes=yes)
    orders = Orders(
        f"rollback to revision {entry.revision}",
        force_conflicts,
        wait,
        timeout,
        promotion_after(state, plan.bundle),
    )
    if not carry_out(cluster, plan, orders):
        sys.exit(1)
