"""The report as one page: nothing is loaded from elsewhere, and it reads in light and in dark."""

import time
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from graphc.client.printing import clean
from graphc.compare import numbers
from graphc.compare.figures import FAULTS, Comparison, PairFigures
from graphc.compare.measure import drift
from graphc.compare.outputs import OutputFigures
from graphc.compare.picture import Interval, draw_histogram, draw_intervals, draw_shares
from graphc.compare.report import Report
from graphc.compare.verdict import Outcome, Verdict

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #fff; --panel: #f6f7f9; --ink: #1c2430; --faint: #5d6878; --line: #dde2e9;
  --live: #2563a8; --candidate: #c2541b; --good: #1a7f45; --bad: #b3261e; --open: #8a6100; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181f; --panel: #1d232c; --ink: #e4e8ee; --faint: #9aa6b5;
  --line: #333c48; --live: #6aa9f0; --candidate: #f0935c; --good: #5cc98a; --bad: #f28b82; --open: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.25rem; }
h3 { margin: 1.75rem 0 .5rem; font-size: 1rem; }
.faint { color: var(--faint); } .live-text { fill: var(--live); } .candidate-text { fill: var(--candidate); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.tile { background: var(--panel); border-radius: .5rem; padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.35rem; font-weight: 600; } .tile span { color: var(--faint); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
table + table { margin-top: .75rem; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--faint); font-size: .85rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: 1rem;
  margin-top: 1.25rem; align-items: start; }
figure { margin: 0; background: var(--panel); border-radius: .5rem; padding: .7rem .9rem; }
figcaption { font-size: .9rem; margin-bottom: .3rem; } svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--faint); } svg .name { font-size: 12px; fill: var(--ink); }
svg .live-text { fill: var(--live); } svg .candidate-text { fill: var(--candidate); }
svg .grid { stroke: var(--line); stroke-width: 1; } svg path { fill: none; stroke-width: 2; }
svg .live { stroke: var(--live); } svg .candidate { stroke: var(--candidate); } svg .bar { fill: var(--candidate); }
svg .interval { stroke: var(--candidate); stroke-width: 3; stroke-linecap: round; opacity: .55; }
svg .dot { fill: var(--candidate); }
.passed { color: var(--good); } .failed { color: var(--bad); } .undecided { color: var(--open); }
.mark { font-weight: 600; white-space: nowrap; }
"""
_CLASSES: Final = {Outcome.PASSED: "passed", Outcome.FAILED: "failed", Outcome.UNDECIDED: "undecided"}


def write_page(report: Report, verdicts: Sequence[Verdict]) -> str:
    """Return the page's HTML."""
    by_name = {each.candidate: each for each in verdicts}
    candidates = report.figures.candidates()
    parts = [f"<h1>{_text(report.graph)}</h1>", f'<p class="faint">{_when(report)}</p>', _predictors(report)]
    parts += [_candidate(name, each, by_name.get(name)) for name, each in candidates.items()]
    for name, verdict in by_name.items():
        if name not in candidates:
            parts.append(f"<h2>{_text(name)}</h2><p>Nothing was compared yet.</p>{_gates(verdict)}")
    left = [
        f"<li>{count:,} {_text(reason)}</li>" for reason, count in numbers.left_out(report.figures).items()
    ]
    parts += [f"<h2>Not compared</h2><ul>{''.join(left)}</ul>"] if left else []
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(report.graph)}: versions compared</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _when(report: Report) -> str:
    begun, ended = (
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each)) for each in (report.started, report.ended)
    )
    run = f"Run {_text(report.run)}, " if report.run else ""
    return f"{run}{begun} to {ended} UTC"


def _predictors(report: Report) -> str:
    rows = [
        (
            _text(name),
            f"{each.statuses.total():,}",
            _text(
                ", ".join(
                    f"{'none' if key == '0' else key}: {n:,}" for key, n in sorted(each.statuses.items())
                )
            ),
            *(numbers.time(each.seconds.quantile(share)) for share in (0.5, 0.9, 0.99)),
        )
        for name, each in sorted(report.figures.predictors.items())
    ]
    return _table(("predictor", "answers", "by status", "p50", "p90", "p99"), rows)


def _candidate(name: str, comparison: Comparison, verdict: Verdict | None) -> str:
    pairs = comparison.overall
    parts = [f"<h2>{_text(name)} beside the live answers</h2>", _tiles(pairs)]
    parts += [_gates(verdict)] if verdict else []
    faults = [
        f"<li>{n:,} pairs: {_text(FAULTS.get(each, each))}</li>" for each, n in sorted(pairs.faults.items())
    ]
    parts += [f"<h3>Faults</h3><ul>{''.join(faults)}</ul>"] if faults else []
    pictures = [_latency_picture(pairs, name), _segments_picture(comparison)]
    parts.append(f'<div class="pictures">{"".join(pictures)}</div>')
    parts += [_output(output, each, name) for output, each in sorted(pairs.outputs.items())]
    return "".join(parts)


def _tiles(pairs: PairFigures) -> str:
    ratio, agreement = numbers.figure(pairs, "latency_p99"), numbers.figure(pairs, "agreement")
    errors, faults = numbers.figure(pairs, "errors"), numbers.figure(pairs, "faults")
    tiles = [
        (f"{pairs.pairs:,}", "pairs of answers"),
        (numbers.percent(agreement.value) if agreement else "-", "classes agree"),
        (numbers.percent(errors.value) if errors else "-", "lost where the live version answers"),
        (numbers.percent(faults.value) if faults else "-", "of other shape, datatype, names, or NaN"),
        (f"{ratio.value:.2f}x" if ratio else "-", "latency at p99"),
    ]
    cells = "".join(f'<div class="tile"><b>{value}</b><span>{what}</span></div>' for value, what in tiles)
    return f'<div class="tiles">{cells}</div>'


def _gates(verdict: Verdict) -> str:
    rows = [
        (f'<span class="mark {_CLASSES[each.outcome]}">{each.outcome.value}</span>', _text(each.statement))
        for each in verdict.judgements
    ]
    outcome = f'<span class="{_CLASSES[verdict.outcome]}">{verdict.outcome.value}</span>'
    return f"<h3>Gates: {outcome}</h3>{_table(('', 'gate'), rows)}"


def _latency_picture(pairs: PairFigures, name: str) -> str:
    sketches = {"live": ("live", pairs.live_seconds), name: ("candidate", pairs.seconds)}
    return draw_shares(sketches, "seconds", "Share of the answers that came within", logarithmic=True)


def _segments_picture(comparison: Comparison) -> str:
    found = [(name, numbers.figure(each, "agreement")) for name, each in sorted(comparison.segments.items())]
    intervals = [Interval(name, each.value, each.low, each.high) for name, each in found if each]
    return draw_intervals(intervals, "Share of classes that agree, by segment, with 95 % intervals")


def _output(name: str, output: OutputFigures, candidate: str) -> str:
    distance = drift(output)
    rows = [
        ("classes that agree", numbers.share(numbers.agreement_of(output))),
        ("mean absolute error", numbers.number(numbers.mean_error_of(output))),
        ("99 % of the errors are below", numbers.number(output.errors.quantile(0.99))),
        ("greatest absolute error", numbers.number(numbers.max_error_of(output))),
        ("Kolmogorov-Smirnov distance, 0 to 1", numbers.number(distance.ks)),
        ("Wasserstein distance, in the output's unit", numbers.number(distance.wasserstein)),
        ("population stability index of the classes", numbers.number(distance.psi)),
    ]
    rows = [row for row in rows if row[1] != "-"]
    changes = [(_text(change), f"{count:,}") for change, count in output.changes.most_common(8)]
    values = {"live": ("live", output.live_values), candidate: ("candidate", output.values)}
    pictures = [
        draw_histogram(output.errors, "absolute error", f"Errors of {name} that are not 0"),
        draw_shares(values, "value", f"Share of the numbers of {name} up to", logarithmic=False),
    ]
    parts = [f"<h3>Output {_text(name)}</h3>", _table((), rows)]
    parts += [_table(("live → " + _text(candidate), "decisions"), changes)] if changes else []
    return "".join(parts) + f'<div class="pictures">{"".join(pictures)}</div>'


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are HTML already."""
    head = "".join(f"<th>{each}</th>" for each in headers)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{f"<tr>{head}</tr>" if head else ""}{body}</table></div>'


def _text(text: str) -> str:
    return escape(clean(text))
