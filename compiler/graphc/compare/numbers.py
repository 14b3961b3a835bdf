"""Figures as people read them."""

import math
from collections.abc import Mapping

from graphc.compare.figures import Figures, PairFigures
from graphc.compare.measure import Measured, measure
from graphc.compare.outputs import OutputFigures

# Both ends of an interval that holds the true value with 95 %.
DEVIATIONS = 1.96


def share(found: Measured | None) -> str:
    """Return a share with its interval."""
    if found is None:
        return "-"
    return f"{percent(found.value)} ({percent(found.low)} to {percent(found.high)})"


def percent(value: float) -> str:
    """Return a share in percent, exactly 100 only for all."""
    text = f"{100 * value:.2f}"
    return "99.99+ %" if text == "100.00" and value < 1 else f"{float(text):g} %"


def number(value: float | None) -> str:
    """Return a number with three digits."""
    if value is None:
        return "-"
    return "infinite" if math.isinf(value) else f"{value:.3g}"


def time(seconds: float | None) -> str:
    """Return a time in milliseconds."""
    return "-" if seconds is None else f"{seconds * 1000:.3g} ms"


def agreement_of(output: OutputFigures) -> Measured | None:
    """Return an output's agreement with its interval."""
    found = output.agreement.share
    return None if found is None else Measured(found, *output.agreement.bounds(DEVIATIONS))


def mean_error_of(output: OutputFigures) -> float | None:
    """Return an output's mean absolute error."""
    return output.error_sum / output.errors.count if output.errors.count else None


def max_error_of(output: OutputFigures) -> float | None:
    """Return an output's greatest absolute error."""
    if output.unlike:
        return math.inf
    return output.largest if output.errors.count else None


def figure(pairs: PairFigures, metric: str) -> Measured | None:
    """Return a metric with its interval."""
    return measure(pairs, metric, DEVIATIONS)


def left_out(figures: Figures) -> Mapping[str, int]:
    """Return what was not compared, by reason in words."""
    return {
        _REASONS.get(reason, reason): count for reason, count in sorted(figures.left_out.items()) if count
    }


_REASONS: Mapping[str, str] = {
    "sampling": "not in the sample",
    "unpaired": "never met their counterpart",
    "duplicate": "a second answer to the same request",
    "queue full": "came faster than they could be compared",
    "live alone": "live answers that no shadow gave too",
    "too many predictors": "of more predictors than are told apart",
    "closed": "came after the end",
}
