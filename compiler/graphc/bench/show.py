"""Shows results to people: tables on a terminal, columns of text elsewhere."""

import math
import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from graphc.bench.compare import Comparison
from graphc.bench.estimate import METHOD, PAIR_METHOD, Estimate
from graphc.bench.job import Closed, Open
from graphc.bench.nodes import NodeTimes
from graphc.bench.run import Result
from graphc.bench.summary import Summary
from graphc.client.printing import shorten


def print_result(result: Result) -> None:
    """Write all that was measured to standard output, and what is to be said against it to standard error."""
    console = Console(highlight=False, width=None if _is_terminal() else 160)
    comparison = result.comparison
    summaries = [comparison.first, comparison.second] if comparison else [result.summary]
    console.print(_describe_load(result.summary))
    console.print(_summary_table(summaries))
    for summary in summaries:
        _print_failures(console, summary)
    if comparison:
        console.print(_ratio_table(comparison))
    console.print(Text(METHOD + (f"; ratios: {PAIR_METHOD}" if comparison else ""), style="dim"))
    if result.nodes:
        _print_nodes(console, result.nodes)
    for summary in summaries:
        for warning in summary.warnings:
            click.echo(f"warning: {summary.target}: {warning}", err=True)
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _describe_load(summary: Summary) -> Text:
    load = summary.load
    rows = f"{summary.rows} row{'' if summary.rows == 1 else 's'} a request"
    if isinstance(load, Closed):
        return Text(f"closed loop, {load.clients} clients, {rows}, {summary.seconds:.1f} s")
    return Text(f"open loop, {load.rate:g} requests/s ({load.arrivals}), {rows}, {summary.seconds:.1f} s")


def _summary_table(summaries: Sequence[Summary]) -> Table:
    table = Table(show_header=len(summaries) > 1)
    table.add_column("")
    for summary in summaries:
        table.add_column(escape(summary.target), justify="right")
    rows: list[tuple[str, list[str]]] = [
        ("requests", [str(each.requests) for each in summaries]),
        ("failed", [str(sum(each.failures.values())) for each in summaries]),
        ("answers/s", [show_estimate(each.throughput) for each in summaries]),
    ]
    if any(each.rows > 1 for each in summaries):
        rows.append(("rows/s", [show_estimate(each.throughput.scaled(each.rows)) for each in summaries]))
    rows.append(("mean ms", [_number(each.mean_ms) for each in summaries]))
    for percent in summaries[0].latency_ms:
        rows.append((f"p{percent:g} ms", [show_estimate(each.latency_ms[percent]) for each in summaries]))
    rows.append(("generator's CPU", [f"{each.generator.cpu:.0%} of a core" for each in summaries]))
    if any(isinstance(each.load, Open) for each in summaries):
        rows.append(("generator late, p99 ms", [_number(each.generator.late_ms) for each in summaries]))
    for name, cells in rows:
        table.add_row(name, *cells)
    return table


def show_estimate(estimate: Estimate) -> str:
    """Write a value with its interval."""
    if math.isnan(estimate.low):
        return _number(estimate.value)
    return f"{_number(estimate.value)}  [{_number(estimate.low)} .. {_number(estimate.high)}]".replace(
        "[", r"\["
    )


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _print_failures(console: Console, summary: Summary) -> None:
    if not summary.failures:
        return
    table = Table("count", f"failures of {escape(summary.target)}, in no figure above")
    for kind, count in summary.failures.items():
        table.add_row(str(count), Text(shorten(kind)))
    console.print(table)


def _ratio_table(comparison: Comparison) -> Table:
    table = Table("second / first", "ratio", "rounds")
    for name, ratio in comparison.ratios.items():
        rounds = " ".join(f"{each:.2f}" for each in comparison.rounds[name])
        table.add_row(name, show_estimate(ratio), rounds)
    return table


def _print_nodes(console: Console, times: NodeTimes) -> None:
    table = Table("node", "unit", "predicted ms", "by", "measured ms", "8 of 10 runs")
    for each in times.nodes:
        spread = "-" if math.isnan(each.low_ms) else f"{each.low_ms:.3g} .. {each.high_ms:.3g}"
        table.add_row(
            escape(each.node),
            escape(each.unit),
            f"{each.predicted_ms:.3g}",
            each.source,
            _number(each.measured_ms),
            spread,
        )
    console.print(table)
    console.print(
        Text(f"each node by itself, in one process, {times.runs} runs; not run, or only choosing: -")
    )
    way = Table("critical path", "ms")
    way.add_row("predicted: " + escape(" > ".join(times.predicted.way)), _number(times.predicted.ms))
    way.add_row("with measured nodes: " + escape(" > ".join(times.measured.way)), _number(times.measured.ms))
    way.add_row("all nodes in one process, no server", _number(times.work_ms))
    way.add_row("one client, p50", _number(times.seen_ms))
    console.print(way)
