"""`graphc compare`: say how versions' answers compare, and whether gates are passed."""

import json
from pathlib import Path

import click


@click.command("compare")
@click.argument("target", required=False, metavar="[RUN|URL|DATABASE]")
@click.option("--database", metavar="FILE|URL", help="Where runs are stored; $GRAPHC_COMPARE_DATABASE.")
@click.option("--candidate", metavar="NAME", help="Judge this predictor alone.")
@click.option(
    "--promote-when", "gates", multiple=True, metavar="METRIC=BOUND", help="A gate, such as 'errors=<= 1%'."
)
@click.option("--gate", is_flag=True, help="Exit with 1 where a gate is not passed.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with pictures.")
@click.option("--runs", is_flag=True, help="List the runs of the database.")
def command(
    target: str | None,
    database: str | None,
    candidate: str | None,
    gates: tuple[str, ...],
    gate: bool,
    as_json: bool,
    page: Path | None,
    runs: bool,
) -> None:
    """Report how a shadow's or canary's answers compare with the live ones.

    Name a RUN, or a graph for its latest run; the URL of a service that compares; or a DATABASE for its
    latest run. Without a name, the command reports the latest run of all. Gates are those of the graph's
    file, or those given here.
    """
    given = _read_gates(gates)
    # numpy is slow to import, and the help does not need it.
    from graphc.compare.gates import GateError
    from graphc.compare.reading import find_report
    from graphc.compare.start import default_database
    from graphc.compare.store_problem import StoreError
    from graphc.compare.verdict import judge_all

    place = database or default_database()
    try:
        if runs:
            _list_runs(place)
            return
        report = find_report(target, place)
        verdicts = judge_all(report, candidate, given)
    except (StoreError, GateError) as error:
        raise click.ClickException(str(error)) from error
    if page is not None:
        from graphc.compare.page import write_page

        page.write_text(write_page(report, verdicts), "utf-8")
    if as_json:
        document = report.to_plain() | {"verdicts": [each.to_plain() for each in verdicts]}
        del document["figures"]
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif page is None:
        # rich too, and only people read tables.
        from graphc.compare.text import print_report

        print_report(report, verdicts)
    if gate and not (verdicts and all(each.passed for each in verdicts)):
        raise SystemExit(1)


def _read_gates(gates: tuple[str, ...]) -> dict[str, object]:
    found = dict[str, object]()
    for each in gates:
        metric, equals, bound = each.partition("=")
        if not equals or not metric.strip():
            raise click.BadParameter(f"`{each}` is not METRIC=BOUND", param_hint="--promote-when")
        found[metric.strip()] = (
            float(bound) if metric.strip() == "confidence" and _is_number(bound) else bound
        )
    return found


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdigit()


def _list_runs(place: str) -> None:
    from graphc.compare.reading import open_store

    store = open_store(place)
    for run in store.runs():
        click.echo(f"{run.run}\t{'ended' if run.ended else 'not ended'}")
    store.close()
