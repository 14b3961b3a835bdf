"""A sketch of many numbers in bounded memory, from which quantiles and distances are read.

This is DDSketch: C. Masson, J. E. Rim and H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees", PVLDB 12(12), 2019, arXiv:1908.10693. Its logarithmic mapping counts numbers in buckets
whose bounds grow by the factor (1 + a) / (1 - a), on both sides of zero. So any value read from a sketch is within the
relative error a (`RELATIVE_ERROR`) of one that was added.

One thing differs. The paper bounds memory by collapsing the lowest buckets once there are too many. Here the range is
fixed: magnitudes below `LOW` count as zero, and those above `HIGH` as `HIGH`. So there are at most `MOST_BUCKETS`, and
merging adds counts, which is exact: sketches merged in any order and grouping give the same sketch.

The package `ddsketch` is not used. It adds one value at a time in Python, and this adds an array by numpy. The
distances between two sketches and the bounds of a quantile are not part of it.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from graphc.compare.plain import Plain, pairs_of, plain_pairs

RELATIVE_ERROR: Final = 0.01
LOW: Final = 1e-12
HIGH: Final = 1e12

_LOG_GAMMA: Final = math.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))
# The bucket of `LOW` is number 1, so that the sign is free to say the side of zero.
_OFFSET: Final = 1 - math.ceil(math.log(LOW) / _LOG_GAMMA)
_LAST: Final = math.ceil(math.log(HIGH) / _LOG_GAMMA) + _OFFSET
MOST_BUCKETS: Final = 2 * _LAST + 1
# For so few values a loop is faster than numpy.
_FEW: Final = 16

Numbers = NDArray[np.float64]


@dataclass(slots=True)
class Sketch:
    """Counts by bucket; bucket 0 holds zeros, negative buckets negative numbers."""

    buckets: Counter[int] = field(default_factory=Counter[int])
    count: int = 0

    def add(self, values: Numbers) -> None:
        """Count values; NaN is left out, an infinity counts as `HIGH`."""
        if values.size <= _FEW:
            for value in values.ravel().tolist():
                self.add_one(value)
            return
        known = values[~np.isnan(values)]
        keys, counts = np.unique(_bucket(known), return_counts=True)
        pairs = zip(cast("list[int]", keys.tolist()), cast("list[int]", counts.tolist()), strict=True)
        for key, count in pairs:
            self.buckets[key] += count
        self.count += known.size

    def add_one(self, value: float) -> None:
        """Count one value."""
        if value == value:
            self.buckets[_bucket_of(value)] += 1
            self.count += 1

    def merge(self, other: "Sketch") -> None:
        """Count all that another sketch has counted."""
        self.buckets.update(other.buckets)
        self.count += other.count

    def quantile(self, share: float) -> float | None:
        """Return the value below which a share of the values lies; None where there are none."""
        return self._at_rank(share * (self.count - 1)) if self.count else None

    def quantile_bounds(self, share: float, deviations: float) -> tuple[float, float] | None:
        """Return an interval for the quantile of what the values are a sample of.

        The number of values below a quantile is binomial, so ranks that many standard deviations apart enclose it.
        An upper rank beyond the last value is not known: it is infinite.
        """
        if not self.count:
            return None
        spread = deviations * math.sqrt(self.count * share * (1 - share))
        middle = share * (self.count - 1)
        low, high = max(0.0, middle - spread), middle + spread
        upper = self._at_rank(high) if high <= self.count - 1 else math.inf
        return self._at_rank(low), upper

    def to_plain(self) -> Plain:
        """Return the counts by bucket, as JSON holds them."""
        return plain_pairs(self.buckets)

    @classmethod
    def of_plain(cls, plain: Plain) -> "Sketch":
        """Return the sketch that JSON holds; raises ValueError where it holds none."""
        buckets = Counter[int]()
        for key, count in pairs_of(plain):
            buckets[max(-_LAST, min(_LAST, key))] += max(0, count)
        return cls(buckets, buckets.total())

    def cumulative(self) -> Mapping[float, float]:
        """Return the share of the values up to each value."""
        keys = sorted(self.buckets)
        sums = accumulate(self.buckets[key] for key in keys)
        return {_value(key): each / self.count for key, each in zip(keys, sums, strict=True)}

    def _at_rank(self, rank: float) -> float:
        seen = 0
        for key in sorted(self.buckets):
            seen += self.buckets[key]
            # Ranks count from 0; the tolerance keeps 0.99 * 100 from being 98.99999.
            if seen > math.floor(rank + 1e-9):
                return _value(key)
        return _value(max(self.buckets))


def kolmogorov(one: Sketch, other: Sketch) -> float | None:
    """Return the greatest difference of the shares up to any value: 0 for equal distributions, 1 for disjoint ones."""
    if not one.count or not other.count:
        return None
    return max(abs(a - b) for _, a, b in _both(one, other))


def wasserstein(one: Sketch, other: Sketch) -> float | None:
    """Return how far values move on average from one distribution to the other, in the values' own unit."""
    if not one.count or not other.count:
        return None
    return sum(abs(a - b) * (right - left) for (left, a, b), (right, _, _) in pairwise(_both(one, other)))


def _both(one: Sketch, other: Sketch) -> list[tuple[float, float, float]]:
    first, second = one.cumulative(), other.cumulative()
    steps: list[tuple[float, float, float]] = []
    a = b = 0.0
    for value in sorted({*first, *second}):
        a, b = first.get(value, a), second.get(value, b)
        steps.append((value, a, b))
    return steps


def _bucket(values: Numbers) -> NDArray[np.int64]:
    size = np.minimum(np.abs(values), HIGH)
    keys = np.zeros(values.shape, dtype=np.int64)
    large = size >= LOW
    keys[large] = np.ceil(np.log(size[large]) / _LOG_GAMMA).astype(np.int64) + _OFFSET
    return np.where(np.signbit(values), -keys, keys)


def _bucket_of(value: float) -> int:
    size = min(abs(value), HIGH)
    if size < LOW:
        return 0
    # numpy's logarithm, because another may differ in the last bit, and so in the bucket.
    key = math.ceil(float(np.log(size)) / _LOG_GAMMA) + _OFFSET
    return -key if value < 0 else key


def _value(key: int) -> float:
    if key == 0:
        return 0.0
    upper = math.exp((abs(key) - _OFFSET) * _LOG_GAMMA)
    return math.copysign(upper * (1 - RELATIVE_ERROR), key)
