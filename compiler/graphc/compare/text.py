"""The report in a terminal."""

from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graphc.client.printing import clean
from graphc.compare import numbers
from graphc.compare.figures import FAULTS, Comparison, PairFigures
from graphc.compare.measure import drift
from graphc.compare.report import Report
from graphc.compare.verdict import Outcome, Verdict

_STYLES: Final = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.UNDECIDED: "yellow"}
_WIDTH: Final = 110


def print_report(report: Report, verdicts: Sequence[Verdict]) -> None:
    """Write the report: predictors, then each candidate with its outputs, segments and gates."""
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH, no_color=True)
    console.print(
        Text(clean(f"{report.graph} (run {report.run})" if report.run else report.graph), style="bold")
    )
    console.print(_predictors(report))
    by_name = {each.candidate: each for each in verdicts}
    for name, comparison in report.figures.candidates().items():
        _print_candidate(console, name, comparison, by_name.get(name))
    for verdict in verdicts:
        if verdict.candidate not in report.figures.candidates():
            console.print(Text(clean(f"{verdict.candidate}: nothing was compared yet"), style="bold"))
            _print_verdict(console, verdict)
    for reason, count in numbers.left_out(report.figures).items():
        console.print(f"not compared: {count:,} {reason}")


def _predictors(report: Report) -> Table:
    rows = [
        (
            name,
            f"{each.statuses.total():,}",
            ", ".join(f"{_status(status)}: {count:,}" for status, count in sorted(each.statuses.items())),
            *(numbers.time(each.seconds.quantile(share)) for share in (0.5, 0.99)),
        )
        for name, each in sorted(report.figures.predictors.items())
    ]
    return _table(("predictor", "answers", "by status", "p50", "p99"), rows)


def _status(status: str) -> str:
    return "no answer" if status == "0" else status


def _print_candidate(console: Console, name: str, comparison: Comparison, verdict: Verdict | None) -> None:
    pairs = comparison.overall
    console.print(Text(clean(f"{name}: {pairs.pairs:,} pairs"), style="bold"))
    rows = [
        ("agreement", numbers.share(numbers.figure(pairs, "agreement"))),
        ("errors", numbers.share(numbers.figure(pairs, "errors"))),
        ("faults", numbers.share(numbers.figure(pairs, "faults"))),
        *((f"latency {each}", _latency(pairs, each)) for each in ("p50", "p99")),
    ]
    console.print(_table(("", ""), rows))
    for fault, count in sorted(pairs.faults.items()):
        console.print(f"{count:,} pairs: {FAULTS.get(fault, fault)}")
    if pairs.outputs:
        console.print(_outputs(pairs))
    for output, figures in sorted(pairs.outputs.items()):
        for change, count in figures.changes.most_common(3):
            console.print(Text(clean(f"{output}: {change}, {count:,} times")))
    if comparison.segments:
        console.print(_segments(comparison))
    if verdict:
        _print_verdict(console, verdict)


def _latency(pairs: PairFigures, quantile: str) -> str:
    share = int(quantile[1:]) / 100
    found = numbers.figure(pairs, f"latency_{quantile}")
    times = f"{numbers.time(pairs.live_seconds.quantile(share))} live, {numbers.time(pairs.seconds.quantile(share))}"
    return f"{times} ({found.value:.2f}x)" if found else times


def _outputs(pairs: PairFigures) -> Table:
    rows = [
        (
            name,
            numbers.share(numbers.agreement_of(each)),
            numbers.number(numbers.mean_error_of(each)),
            numbers.number(each.errors.quantile(0.99)),
            numbers.number(numbers.max_error_of(each)),
            numbers.number(drift(each).ks),
            numbers.number(drift(each).wasserstein),
            numbers.number(drift(each).psi),
        )
        for name, each in sorted(pairs.outputs.items())
    ]
    return _table(("output", "agreement", "mean err", "p99 err", "max err", "KS", "W1", "PSI"), rows)


def _segments(comparison: Comparison) -> Table:
    rows = [
        (
            name,
            f"{each.pairs:,}",
            numbers.share(numbers.figure(each, "agreement")),
            numbers.share(numbers.figure(each, "errors")),
            numbers.number(found.value if (found := numbers.figure(each, "max_error")) else None),
        )
        for name, each in sorted(comparison.segments.items())
    ]
    return _table(("segment", "pairs", "agreement", "errors", "max err"), rows)


def _print_verdict(console: Console, verdict: Verdict) -> None:
    for each in verdict.judgements:
        console.print(Text(f"  {each.outcome.value:<19}", style=_STYLES[each.outcome]) + Text(each.statement))
    console.print(
        Text(clean(f"{verdict.candidate}: {verdict.outcome.value}"), style=_STYLES[verdict.outcome])
    )


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_header=any(headers), pad_edge=False)
    for index, header in enumerate(headers):
        table.add_column(header, overflow="fold", justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    return table
