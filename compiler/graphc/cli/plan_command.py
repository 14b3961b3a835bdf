"""`graphc plan`: say what applying graph files would change."""

import os
import sys

import click

from graphc.cli.bundles import place, read_bundles
from graphc.cli.cluster_options import NoUsageCode, cluster_options
from graphc.cli.reporting import graph_options
from graphc.cluster.client import Access, connect
from graphc.cluster.ledger import Ledger
from graphc.cluster.offline import plan_offline, read_other
from graphc.cluster.planning import plan_graph
from graphc.cluster.render import plan_as_data, write_data, write_plan
from graphc.cluster.rollout_room import judge_room
from graphc.compile.request import Request

CHANGED = 2
"""The exit code where something would change."""


@click.command("plan", cls=NoUsageCode)
@graph_options
@click.option("--json", "as_json", is_flag=True, help="Write the plan as JSON.")
@click.option(
    "--against",
    metavar="FILE|REV:PATH",
    help="Compare with a rendered file, a graph file, or a git revision's file, not with the cluster.",
)
@click.option(
    "--room",
    is_flag=True,
    help="Ask all nodes too whether the rollout finds room.",
)
@cluster_options
def command(
    access: Access,
    request: Request,
    output_format: str,
    as_json: bool,
    against: str | None,
    room: bool,
) -> None:
    """Say what `graphc apply` would change: which model, which weight, which predictor, and what is dangerous.

    The command changes nothing: the API server works out the outcome, with defaults and conflicts. Exits with
    0 if nothing would change, with 2 if something would, and with 1 if the command cannot tell.
    """
    if room and against is not None:
        raise click.ClickException("--room asks the cluster, and --against leaves it out")
    graphs = read_bundles(request, output_format)
    if against is not None:
        bundles = [place(graph, access.namespace, "default") for graph in graphs]
        others = read_other(against, request)
        plans = [plan_offline(bundle, others) for bundle in bundles]
    else:
        cluster = connect(access)
        bundles = [place(graph, access.namespace, cluster.namespace) for graph in graphs]
        plans = [
            plan_graph(cluster, each, Ledger(cluster, each.namespace, each.name).load()) for each in bundles
        ]
        if room:
            plans = judge_room(cluster, plans)
    if as_json:
        click.echo(write_data([plan_as_data(each) for each in plans]), nl=False)
    else:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        click.echo("".join(write_plan(each, color=color) for each in plans), nl=False, color=color)
    changed = any(not each.is_silent or each.conflicts or each.state.pending for each in plans)
    raise SystemExit(CHANGED if changed else 0)
