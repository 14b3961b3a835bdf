"""`graphc plan`: say what applying graph files would change."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from graphc.cli.bundles import place, read_bundles
from graphc.cli.cluster_options import NoUsageCode, cluster_options
from graphc.cli.reporting import graph_options
from graphc.cluster.client import Access, connect
from graphc.cluster.ledger import Ledger
from graphc.cluster.offline import plan_offline, read_other
from graphc.cluster.planning import GraphPlan, plan_graph
from graphc.cluster.render import plan_as_data, write_data, write_plan
from graphc.cluster.rollout_room import judge_room
from graphc.compile.request import Request

_PAGES: Final = (".html", ".svg")
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
@click.option("--page", metavar="FILE", help="Draw the plan on a page of HTML, too; `.svg` is one picture.")
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
    page: str | None,
    room: bool,
) -> None:
    """Say what `graphc apply` would change: which model, which weight, which predictor, and what is dangerous.

    The command changes nothing: the API server works out the outcome, with defaults and conflicts. Exits with
    0 if nothing would change, with 2 if something would, and with 1 if the command cannot tell.
    """
    if room and against is not None:
        raise click.ClickException("--room asks the cluster, and --against leaves it out")
    if page is not None and Path(page).suffix.lower() not in _PAGES:
        raise click.UsageError(f"--page writes {' or '.join(_PAGES)}, and {page} ends otherwise")
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
    if page is not None:
        _draw(plans, page)
    if as_json:
        click.echo(write_data([plan_as_data(each) for each in plans]), nl=False)
    else:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        click.echo("".join(write_plan(each, color=color) for each in plans), nl=False, color=color)
    changed = any(not each.is_silent or each.conflicts or each.state.pending for each in plans)
    raise SystemExit(CHANGED if changed else 0)


def _draw(plans: Sequence[GraphPlan], page: str) -> None:
    """Write the picture of a plan."""
    # Most plans are read in the terminal.
    from graphc.cluster.draw_plan import draw_pictures, tell_steps
    from graphc.view.drawing import SIGNS
    from graphc.view.place import ViewError
    from graphc.view.write_drawing import write_drawing
    from graphc.view.write_page import Tab, write_page
    from graphc.whole_files import write_whole

    if len(plans) != 1:
        raise click.ClickException(f"--page draws one graph, and these files have {len(plans)}")
    (plan,) = plans
    pictures, told = draw_pictures(plan), list(tell_steps(plan))
    try:
        if Path(page).suffix.lower() == ".svg":
            words = tuple(each for _, part in told for each in part)
            text = write_drawing(replace(pictures[0].drawing, told=words), "svg")
        else:
            tabs = [
                Tab(f"{SIGNS[each.change]} {each.name}" if each.change else each.name, None, each.drawing)
                for each in pictures
            ]
            text = write_page(f"{plan.bundle.name} ({plan.bundle.namespace})", tabs, {}, told)
        write_whole(Path(page), text)
    except ViewError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{page} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {page}", err=True)
