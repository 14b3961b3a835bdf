"""`graphc apply`: change a cluster to what graph files say."""

import sys
from collections.abc import Mapping
from dataclasses import replace

import click

from graphc.cli.bundles import place, read_bundles
from graphc.cli.changing import carry_out
from graphc.cli.cluster_options import Seconds, cluster_options, confirm, say
from graphc.cli.reporting import graph_options
from graphc.cluster.bundle import Bundle
from graphc.cluster.change import Orders
from graphc.cluster.client import Access, connect
from graphc.cluster.ledger import Ledger
from graphc.cluster.planning import GraphPlan, plan_graph
from graphc.cluster.render import describe_conflicts, describe_promotion, write_plan
from graphc.cluster.traffic import WHOLE, move, traffic_of
from graphc.compile.request import Request


@click.command("apply")
@graph_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that other managers set.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the graph serves.")
@click.option("--timeout", type=Seconds(), default="10m", show_default=True, help="The longest wait.")
@click.option("--keep-traffic", is_flag=True, help="Leave the traffic as a promotion moved it.")
@click.option(
    "--reset-traffic", is_flag=True, help="Put the traffic back to the file's, in spite of a promotion."
)
@cluster_options
def command(
    access: Access,
    request: Request,
    output_format: str,
    yes: bool,
    force_conflicts: bool,
    wait: bool,
    timeout: float,
    keep_traffic: bool,
    reset_traffic: bool,
) -> None:
    """Change a cluster to what graph files say, and wait until it serves; on failure go back to what served.

    The command shows the plan and asks. Last of all it deletes what the graph made before and no revision
    needs. Applying again completes a change that was interrupted or killed; `graphc rollback` takes it back.
    """
    if keep_traffic and reset_traffic:
        raise click.UsageError("--keep-traffic and --reset-traffic exclude each other")
    graphs = read_bundles(request, output_format)
    cluster = connect(access)
    plans: list[GraphPlan] = []
    for graph in graphs:
        bundle = place(graph, access.namespace, cluster.namespace)
        state = Ledger(cluster, bundle.namespace, bundle.name).take_over(say)
        if keep_traffic and state.promotion is not None:
            bundle = _keep_traffic(bundle, state.promotion.moved)
        plans.append(plan_graph(cluster, bundle, state))
    click.echo("".join(write_plan(each) for each in plans), nl=False)
    _refuse(plans, force_conflicts=force_conflicts, reset_traffic=reset_traffic)
    due = [each for each in plans if not each.is_silent or each.state.pending or each.state.current is None]
    for plan in plans:
        if plan not in due and plan.state.promotion is not None and not keep_traffic:
            # The file says what the promotion did: there is nothing left to remember.
            Ledger(cluster, plan.bundle.namespace, plan.bundle.name).save(replace(plan.state, promotion=None))
    if not due:
        return
    confirm("apply?", yes=yes)
    failed = False
    for plan in due:
        promotion = plan.state.promotion if keep_traffic else None
        orders = Orders("apply", force_conflicts, wait, timeout, promotion)
        failed = not carry_out(cluster, plan, orders) or failed
    if failed:
        sys.exit(1)


def _keep_traffic(bundle: Bundle, shares: Mapping[str, int]) -> Bundle:
    """Return the documents with the shares that a promotion made, where they still are all of the traffic."""
    kept = move(bundle, shares)
    total = sum(traffic_of(kept.documents).values())
    if total != WHOLE:
        raise click.ClickException(
            f"`{bundle.name}`: with the promotion's shares the file's predictors get {total} % together; "
            "give them their traffic in the file"
        )
    return kept


def _refuse(plans: list[GraphPlan], *, force_conflicts: bool, reset_traffic: bool) -> None:
    """End the command where a plan must not be carried out without a further word."""
    for plan in plans:
        conflicts = list(describe_conflicts(plan))
        if conflicts and not force_conflicts:
            raise click.ClickException(
                f"`{plan.bundle.name}`: others decided fields that the file decides too; --force-conflicts takes "
                "them over"
            )
        if plan.promoted is not None and not reset_traffic:
            raise click.ClickException(
                f"{describe_promotion(plan)}; change the file, or say --keep-traffic or --reset-traffic"
            )
