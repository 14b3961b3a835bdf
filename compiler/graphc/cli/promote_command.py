"""`graphc promote`: move a graph's traffic to a predictor, step by step."""

import sys
from pathlib import Path

import click

from graphc.cli.cluster_options import Seconds, cluster_options, confirm, say
from graphc.cli.waiting import WaitingLine
from graphc.cluster.asking import Judge
from graphc.cluster.client import Access, connect
from graphc.cluster.comparison import ComparedAnswers, has_gates
from graphc.cluster.file_traffic import write_difference
from graphc.cluster.interrupt import Interrupted, stoppable
from graphc.cluster.judges import Limits, LiveMetrics
from graphc.cluster.ledger import Ledger
from graphc.cluster.names import find_name
from graphc.cluster.promotion import Promoted, Promoting, Wish


class Steps(click.ParamType[tuple[int, ...]]):
    """Shares of the traffic, growing: `10,50,100`."""

    name = "steps"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the shares."""
        try:
            steps = tuple(int(each) for each in str(value).split(","))
        except ValueError:
            steps = ()
        if not steps or list(steps) != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] <= 100:
            self.fail(f"{value!r} are not shares that grow up to 100, such as 10,50,100", param, ctx)
        return steps


@click.command("promote")
@click.argument("graph")
@click.option(
    "--to", "target", metavar="PREDICTOR", help="The predictor that gets the traffic, where several can."
)
@click.option("--steps", type=Steps(), help="Its shares of the traffic, in turn.  [default: 10,50,100]")
@click.option(
    "--pause", type=Seconds(), default="1m", show_default=True, help="How long to stay at each step."
)
@click.option(
    "--report",
    metavar="FILE|URL",
    help="The comparison: JSON or a database of `graphc compare`, or a URL.",
)
@click.option("--prometheus", metavar="URL", help="Prometheus with the live metrics.")
@click.option(
    "--most-errors",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Live gate: share of requests that may fail.",
)
@click.option(
    "--most-latency",
    type=click.FloatRange(0),
    default=1.5,
    show_default=True,
    help="Live gate: p99, as a multiple of the other predictor's.",
)
@click.option(
    "--least-samples",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Live gate: fewest requests to judge by.",
)
@click.option(
    "--patience",
    type=Seconds(),
    default="10m",
    show_default=True,
    help="The longest wait for undecided gates.",
)
@click.option("--without-gates", is_flag=True, help="Promote without a comparison or metrics.")
@click.option(
    "--local", is_flag=True, help="Move the traffic in the file, which `graphc run --follow` follows."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--timeout",
    type=Seconds(),
    default="10m",
    show_default=True,
    help="The longest wait until a step serves.",
)
@cluster_options
def command(
    access: Access,
    graph: str,
    target: str | None,
    steps: tuple[int, ...] | None,
    pause: float,
    report: str | None,
    prometheus: str | None,
    most_errors: float,
    most_latency: float,
    least_samples: int,
    patience: float,
    without_gates: bool,
    local: bool,
    yes: bool,
    timeout: float,
) -> None:
    """Move the traffic of GRAPH (a name or a graph file) to a predictor, step by step, each through gates.

    A gate that fails puts the traffic back to the file's. No predictor changes its name: the promoted one
    keeps its own, and the other stays, without traffic, until the file drops it. An interrupted promotion
    stays where it is, and goes on when you run the command again.
    """
    wish = Wish(target, steps, pause, patience, timeout)
    if local:
        if prometheus is not None:
            raise click.UsageError("`--prometheus` is for what runs on a cluster")
        promote_file(graph, wish, report, without_gates=without_gates)
        return
    cluster = connect(access)
    name, own = find_name(graph)
    ledger = Ledger(cluster, access.namespace or own or cluster.namespace, name)
    judges: list[Judge] = []
    if report is not None:
        judges.append(ComparedAnswers(report))
    if prometheus is not None:
        judges.append(LiveMetrics(prometheus, Limits(most_errors, most_latency, least_samples)))
    with stoppable(say) as stopper:
        promoting = Promoting(cluster, ledger, wish, judges, say, stopper, WaitingLine())
        promotion = promoting.find()
        if has_gates(promoting.bundle) and report is None and not without_gates:
            raise click.ClickException(
                f"`{name}` has gates (`promote_when`): give the --report of a comparison, or --without-gates"
            )
        if not judges and not without_gates:
            raise click.ClickException(
                "nothing says whether it is good: give --report or --prometheus, or --without-gates"
            )
        if promotion.is_done:
            click.echo(
                f"{name}: `{promotion.target}` has {promotion.moved.get(promotion.target, 0)} % already"
            )
            return
        ways = ", ".join(f"{each} %" for each in promotion.steps)
        click.echo(
            f"{name}: `{promotion.target}` from {promotion.moved.get(promotion.target, 0)} % to {ways}"
        )
        confirm("promote?", yes=yes)
        try:
            done = promoting.carry_out(promotion)
        except Interrupted:
            say(f"{name}: interrupted; `graphc promote {name}` goes on, `graphc rollback {name}` goes back")
            raise
    tell(name, graph, done)
    if done.failure is not None:
        sys.exit(1)


def promote_file(path: str, wish: Wish, report: str | None, *, without_gates: bool) -> None:
    """Promote in a graph file; ends with code 1 where that is refused."""
    if not Path(path).is_file():
        raise click.UsageError("`--local` takes a graph file")
    # The compiler and the database are slow to import, and a cluster's promotion needs neither.
    from graphc.cli.bundles import read_local_bundle
    from graphc.cluster.file_promotion import FilePromoting
    from graphc.compare.start import default_database

    bundle = read_local_bundle(path)
    judges = [] if without_gates else [ComparedAnswers(report or default_database())]
    with stoppable(say) as stopper:
        del stopper
        failure = FilePromoting(Path(path), bundle, wish, judges, say, WaitingLine()).carry_out()
    if failure is not None:
        say(f"Error: {bundle.name}: {failure}")
        sys.exit(1)


def tell(name: str, graph: str, done: Promoted) -> None:
    """Say what became of it, and what has to change in the file."""
    shares = ", ".join(f"{predictor} {share} %" for predictor, share in done.shares.items())
    if done.failure is not None:
        say(f"Error: {name}: {done.failure}")
        more = "; running it again goes on" if done.is_unfinished else ""
        say(f"{name}: serves with {shares}{more}")
        return
    click.echo(f"{name}: {shares}")
    click.echo("The graph file is out of date; until it says so, `graphc apply` refuses. Change it:")
    difference = write_difference(graph, name, done.shares) if Path(graph).is_file() else None
    click.echo(difference or _describe(done), nl=False)


def _describe(done: Promoted) -> str:
    lines = ["predictors:"]
    for predictor, share in done.shares.items():
        lines.append(f"  {predictor}: {{traffic: {share}, ...}}")
        if predictor in done.unshadowed:
            lines[-1] += "  # no `shadow` any more"
    return "".join(f"{line}\n" for line in lines)
