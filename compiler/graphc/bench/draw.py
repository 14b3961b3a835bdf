"""Draws results: how latencies are distributed, and the ratios of two targets round by round.

The one door to matplotlib, whose methods take what they like.
"""
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from graphc.bench.compare import Comparison
from graphc.bench.failure import BenchError
from graphc.bench.run import Result
from graphc.bench.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)
_COLOURS: Final = ("#1f6fb4", "#d1622b")


def draw_result(result: Result, path: Path) -> None:
    """Write a picture, its kind told by the file's suffix; raises BenchError."""
    try:
        # matplotlib comes with an extra, and is slow to import.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BenchError("pictures need matplotlib: pip install 'graphc-compiler[reports]'") from error
    comparison = result.comparison
    figure = Figure(figsize=(11, 4.6) if comparison else (7, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    if comparison:
        left, right = figure.subplots(1, 2)
        draw_latencies(left, [comparison.first, comparison.second])
        draw_ratios(right, comparison)
    else:
        draw_latencies(figure.subplots(), [result.summary])
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise BenchError(f"`{path}` cannot be drawn: {error}") from error


def draw_latencies(axes: "Axes", summaries: Sequence[Summary]) -> None:
    """Draw latency by percentile, on a scale that gives each further nine the same room."""
    farthest = 2.0
    for summary, label, colour in zip(summaries, ("first: ", "second: "), _COLOURS, strict=False):
        count = len(summary.samples)
        if not count:
            continue
        share = np.arange(count) / count
        nines = -np.log10(1 - share)
        farthest = max(farthest, float(nines[-1]))
        axes.step(
            nines,
            summary.samples,
            where="post",
            color=colour,
            label=(label if len(summaries) > 1 else "") + summary.target,
        )
        for percent, found in summary.latency_ms.items():
            at = -np.log10(1 - percent / 100)
            if at <= nines[-1]:
                axes.vlines(at, found.low, found.high, color=colour, linewidth=3, alpha=0.45)
    ticks = [each for each in _TICKS if -np.log10(1 - each / 100) <= farthest + 0.3]
    axes.set_xticks([-np.log10(1 - each / 100) for each in ticks], [f"{each:g} %" for each in ticks])
    axes.set_yscale("log")
    axes.set_xlabel("share of requests answered within")
    axes.set_ylabel("latency, ms")
    axes.grid(visible=True, which="both", alpha=0.25)
    if summaries[0].samples.size:
        axes.legend(loc="upper left", fontsize="small")
    axes.set_title("Latency, with 95 % intervals", fontsize="medium")


def draw_ratios(axes: "Axes", comparison: Comparison) -> None:
    """Draw each round's ratios as points, and their mean with its interval."""
    names = list(comparison.ratios)
    for row, name in enumerate(names):
        rounds, ratio = comparison.rounds[name], comparison.ratios[name]
        offsets = np.linspace(-0.18, 0.18, len(rounds)) if len(rounds) > 1 else np.zeros(len(rounds))
        axes.plot(rounds, row + offsets, "o", color="#888888", markersize=4, alpha=0.7)
        axes.hlines(row, ratio.low, ratio.high, color=_COLOURS[1], linewidth=3)
        axes.plot([ratio.value], [row], "D", color=_COLOURS[1], markersize=7)
        axes.annotate(
            f"{ratio.value:.2f}",
            (ratio.value, row),
            xytext=(0, 10),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    low, high = axes.get_xlim()
    marks = [each for each in (0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50) if low <= each <= high]
    axes.set_xticks(marks, [f"{each:g}" for each in marks])
    axes.minorticks_off()
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.set_title("Second over first, with 95 % intervals", fontsize="medium")
