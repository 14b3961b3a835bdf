"""`graphc dashboards`: write a Grafana dashboard and Prometheus' rules for a graph."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphc.cli.reporting import exit_if_rejected, plan_options, report
from graphc.compile.request import Request

if TYPE_CHECKING:
    from graphc.dashboards.watched import Watched
    from graphc.dashboards.write_rules import Objectives


@click.command("dashboards")
@click.argument("files", nargs=-1, required=True, metavar="FILE")
@plan_options
@click.option(
    "--out", metavar="FOLDER", type=click.Path(file_okay=False), help="Write the files to this folder."
)
@click.option(
    "--show",
    type=click.Choice(["dashboard", "rules"]),
    default="dashboard",
    show_default=True,
    help="What goes to standard output, without --out.",
)
@click.option("-n", "--namespace", metavar="NAME", help="The graph's namespace, where the file names none.")
@click.option(
    "--objective",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    default=99.9,
    show_default=True,
    metavar="PERCENT",
    help="How many of the requests have to succeed.",
)
@click.option(
    "--latency",
    type=click.FloatRange(0, 10, min_open=True, max_open=True),
    metavar="SECONDS",
    help="What the p99 has to stay below; if not given, 80 % of the graph's deadline.",
)
@click.option("--as-resource", is_flag=True, help="Write the rules as a PrometheusRule.")
@click.option("--local", is_flag=True, help="For a graph under `graphc run`, in place of a cluster.")
def command(
    request: Request,
    out: str | None,
    show: str,
    namespace: str | None,
    objective: float,
    latency: float | None,
    *,
    as_resource: bool,
    local: bool,
) -> None:
    """Write a Grafana dashboard and Prometheus' rules for the graph of FILE.

    Both ask only for metrics that the graph has: its requests, units, nodes, batches and fallbacks. The rules
    record the shares of errors, and alert where errors burn their budget, where requests are slow, where a unit does
    not answer, and where fallbacks rise.

    With --out, the files are GRAPH.dashboard.json and GRAPH.rules.yaml.
    """
    # The compiler is slow to import, and help needs none of it.
    from graphc.compile.compile_files import compile_files
    from graphc.dashboards.watch_graph import watch_graph
    from graphc.dashboards.write_rules import Objectives

    if out is None and len(request.paths) > 1:
        raise click.UsageError("several files need a folder: give one with --out")
    done = compile_files(replace(request, purpose="local") if local else request)
    report(done, "text", to_stderr=True)
    exit_if_rejected(done)
    if out is None and len(done.graphs) != 1:
        raise click.ClickException(
            f"{request.paths[0]} has {len(done.graphs)} graphs; name a folder with --out"
        )
    objectives = Objectives(objective / 100, latency)
    for graph in done.graphs:
        watched = watch_graph(graph, namespace, is_local=local)
        _warn(watched, objectives)
        dashboard, rules = _write(watched, objectives, as_resource=as_resource)
        if out is None:
            click.echo(dashboard if show == "dashboard" else rules, nl=False)
        else:
            _save(Path(out) / f"{watched.name}.dashboard.json", dashboard)
            _save(Path(out) / f"{watched.name}.rules.yaml", rules)


def _write(watched: "Watched", objectives: "Objectives", *, as_resource: bool) -> tuple[str, str]:
    from graphc.dashboards.write_dashboard import write_dashboard
    from graphc.dashboards.write_rules import write_resource, write_rules
    from graphc.documents import write_json, write_yaml

    rules = (write_resource if as_resource else write_rules)(watched, objectives)
    return write_json([write_dashboard(watched)]), write_yaml([rules])


def _warn(watched: "Watched", objectives: "Objectives") -> None:
    from graphc.dashboards.write_rules import find_latency

    if all(find_latency(each, objectives) is None for each in watched.versions):
        click.echo(
            f"{watched.name}: no rule for its latency, for want of a deadline below 12.5s; say --latency",
            err=True,
        )


def _save(path: Path, text: str) -> None:
    from graphc.whole_files import write_whole

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {path}", err=True)
