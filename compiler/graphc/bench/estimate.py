"""Percentiles, rates and ratios, each with an interval that holds the true value 95 times of a hundred.

Requests that follow each other are alike, so that an interval from order statistics, which takes them to be
independent, is too narrow. The time measured is cut into slices instead, and the slices are drawn again with
replacement (a bootstrap of blocks): what varies slowly, as a busy machine does, then widens the interval. Ratios come
from pairs of rounds; their interval is Student's, of the logarithms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SLICES: Final = 30
DRAWS: Final = 400
METHOD: Final = f"95 % intervals by bootstrap over {SLICES} slices of time"
PAIR_METHOD: Final = "95 % intervals by Student's t over the logarithms of the rounds' ratios"

_SIDES: Final = (0.025, 0.975)

# The 97.5 % points of Student's t, by degrees of freedom from 1; beyond, the next line's expansion is as exact.
_STUDENT: Final = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
)
_NORMAL: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the bounds of its interval; the bounds are NaN where there is too little to tell."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def scaled(self, factor: float) -> "Estimate":
        """Return the same in another unit."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def to_json(self) -> dict[str, float | None]:
        """Return plain data; JSON has no NaN."""
        return {name: None if math.isnan(each) else each for name, each in self._fields()}

    def _fields(self) -> tuple[tuple[str, float], ...]:
        return ("value", self.value), ("low", self.low), ("high", self.high)


class Slices:
    """How often each slice of time was drawn, for each draw; equal runs give equal draws."""

    def __init__(self, begin: float, end: float, slices: int = SLICES) -> None:
        self._begin, self._end, self.count = begin, end, slices
        drawn = np.random.default_rng(0).integers(0, slices, (DRAWS, slices))
        self.weights = np.stack([np.bincount(each, minlength=slices) for each in drawn])

    def of(self, times: Floats) -> NDArray[np.int64]:
        """Return the slice that each time lies in."""
        width = (self._end - self._begin) / self.count
        found = ((times - self._begin) / width).astype(np.int64)
        return np.clip(found, 0, self.count - 1)


def estimate_percentiles(
    values: Floats, times: Floats, slices: Slices, percents: Sequence[float]
) -> list[Estimate]:
    """Return percentiles of what was measured at those times."""
    if not len(values):
        return [Estimate(math.nan)] * len(percents)
    order = np.argsort(values, kind="stable")
    ranked, where = values[order], slices.of(times)[order]
    points = np.percentile(ranked, percents)
    drawn = np.array([_weighted_percentiles(ranked, each[where], percents) for each in slices.weights])
    bounds = np.nanquantile(drawn, _SIDES, axis=0)
    return [
        Estimate(float(point), float(bounds[0][index]), float(bounds[1][index]))
        for index, point in enumerate(points)
    ]


def _weighted_percentiles(ranked: Floats, weights: NDArray[np.int64], percents: Sequence[float]) -> Floats:
    total = np.cumsum(weights)
    if not total[-1]:
        return np.full(len(percents), np.nan)
    ranks = np.array(percents) / 100 * (total[-1] - 1)
    return ranked[np.searchsorted(total, np.floor(ranks), side="right")]


def estimate_rate(ends: Floats, slices: Slices, seconds: float) -> Estimate:
    """Return how many of those times there are in a second."""
    if not seconds:
        return Estimate(math.nan)
    counts = np.bincount(slices.of(ends), minlength=slices.count) if len(ends) else np.zeros(slices.count)
    drawn = slices.weights @ counts / seconds
    low, high = np.quantile(drawn, _SIDES)
    return Estimate(len(ends) / seconds, float(low), float(high))


def estimate_ratio(pairs: Sequence[tuple[float, float]]) -> Estimate:
    """Return the geometric mean of the second over the first."""
    sound = [(a, b) for a, b in pairs if a > 0 and b > 0 and math.isfinite(a) and math.isfinite(b)]
    if not sound:
        return Estimate(math.nan)
    logs = np.array([math.log(b / a) for a, b in sound])
    mean = float(logs.mean())
    if len(logs) < 2:
        return Estimate(math.exp(mean))
    half = student(len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def student(freedom: int) -> float:
    """Return the 97.5 % point of Student's t."""
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z, n = _NORMAL, freedom
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3
