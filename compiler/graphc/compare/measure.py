"""Read a metric from figures: its value, and an interval that holds the true one with some confidence."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from graphc.compare.agreement import wilson
from graphc.compare.figures import PairFigures
from graphc.compare.gates import METRICS
from graphc.compare.outputs import OutputFigures
from graphc.compare.sketch import Sketch, kolmogorov, wasserstein


@dataclass(frozen=True, slots=True)
class Measured:
    """A value with the bounds of its interval; all are equal where the value is no estimate."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a candidate's distribution of one output is from the live one."""

    ks: float | None
    """Kolmogorov-Smirnov: the greatest difference of the shares up to any number; 0 to 1."""
    wasserstein: float | None
    """How far numbers move on average, in the output's own unit."""
    psi: float | None
    """Population stability index of the classes; below 0.1 is commonly called stable, above 0.25 shifted."""


def measure(pairs: PairFigures, metric: str, deviations: float, *, ratio: bool = True) -> Measured | None:
    """Return a metric; None where nothing was seen that it could be read from.

    `deviations` is how many standard deviations the interval reaches to each side; `ratio` says whether a latency is
    wanted as a multiple of the live one's.
    """
    share = METRICS[metric].share
    if metric.startswith("latency"):
        assert share is not None
        return _latency(pairs, share, deviations, ratio=ratio)
    if share is not None:
        return _worst(_error_quantile(each, share, deviations) for each in pairs.outputs.values())
    return _MEASURES[metric](pairs, deviations)


def drift(output: OutputFigures) -> Drift:
    """Return the distances of an output's distributions."""
    return Drift(
        kolmogorov(output.live_values, output.values),
        wasserstein(output.live_values, output.values),
        _stability(output),
    )


def _samples(pairs: PairFigures, _: float) -> Measured | None:
    return _exact(pairs.pairs)


def _agreement(pairs: PairFigures, deviations: float) -> Measured | None:
    found = [
        Measured(share, *each.agreement.bounds(deviations))
        for each in pairs.outputs.values()
        if (share := each.agreement.share) is not None
    ]
    return min(found, key=lambda each: (each.low, each.value), default=None)


def _errors(pairs: PairFigures, deviations: float) -> Measured | None:
    return _share(pairs.errors, pairs.pairs - pairs.live_errors - pairs.both_errors, deviations)


def _faults(pairs: PairFigures, deviations: float) -> Measured | None:
    good = pairs.pairs - pairs.errors - pairs.live_errors - pairs.both_errors
    return _share(pairs.faulty, good, deviations)


def _max_error(pairs: PairFigures, _: float) -> Measured | None:
    return _worst(
        _exact(math.inf if each.unlike else each.largest)
        for each in pairs.outputs.values()
        if each.errors.count or each.unlike
    )


def _mean_error(pairs: PairFigures, _: float) -> Measured | None:
    counted = (each for each in pairs.outputs.values() if each.errors.count)
    return _worst(_exact(each.error_sum / each.errors.count) for each in counted)


def _distance(read: Callable[[Drift], float | None]) -> Callable[[PairFigures, float], Measured | None]:
    def measure_distance(pairs: PairFigures, _: float) -> Measured | None:
        found = (read(drift(each)) for each in pairs.outputs.values())
        return _worst(_exact(each) for each in found if each is not None)

    return measure_distance


_MEASURES: Final[dict[str, Callable[[PairFigures, float], Measured | None]]] = {
    "samples": _samples,
    "agreement": _agreement,
    "errors": _errors,
    "faults": _faults,
    "max_error": _max_error,
    "mean_error": _mean_error,
    "ks": _distance(lambda each: each.ks),
    "wasserstein": _distance(lambda each: each.wasserstein),
    "psi": _distance(lambda each: each.psi),
}


def _exact(value: float) -> Measured:
    return Measured(value, value, value)


def _share(count: int, of: int, deviations: float) -> Measured | None:
    return Measured(count / of, *wilson(count / of, of, deviations)) if of else None


def _worst(found: "Iterable[Measured | None]") -> Measured | None:
    return max((each for each in found if each), key=lambda each: each.high, default=None)


def _error_quantile(output: OutputFigures, share: float, deviations: float) -> Measured | None:
    value = output.errors.quantile(share)
    bounds = output.errors.quantile_bounds(share, deviations)
    return (
        Measured(value, bounds[0], min(bounds[1], output.largest)) if value is not None and bounds else None
    )


def _latency(pairs: PairFigures, share: float, deviations: float, *, ratio: bool) -> Measured | None:
    value = pairs.seconds.quantile(share)
    if value is None:
        return None
    # Two estimates that are compared vary together by the root of two.
    low, high = _bounds(pairs.seconds, share, deviations / math.sqrt(2) if ratio else deviations)
    if not ratio:
        return Measured(value, low, high)
    live = pairs.live_seconds.quantile(share)
    live_low, live_high = _bounds(pairs.live_seconds, share, deviations / math.sqrt(2))
    if not live or not live_low:
        return None
    return Measured(value / live, 0.0 if math.isinf(live_high) else low / live_high, high / live_low)


def _bounds(sketch: Sketch, share: float, deviations: float) -> tuple[float, float]:
    return sketch.quantile_bounds(share, deviations) or (0.0, math.inf)


def _stability(output: OutputFigures) -> float | None:
    """Return the population stability index; half a count in each cell that either has keeps it finite."""
    cells = output.live_classes.keys() | output.classes.keys()
    live, candidate = output.live_classes.total(), output.classes.total()
    if not live or not candidate:
        return None
    total = 0.0
    for cell in sorted(cells):
        before = (output.live_classes[cell] + 0.5) / (live + 0.5 * len(cells))
        after = (output.classes[cell] + 0.5) / (candidate + 0.5 * len(cells))
        total += (after - before) * math.log(after / before)
    return total
