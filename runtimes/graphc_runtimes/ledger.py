"""Counts requests at little cost: what was counted goes to Prometheus' metrics when somebody looks at them."""
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, cast
from weakref import WeakMethod

import numpy as np
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, Metric, Summary

from graphc_runtimes.timings import Kept

_MOST: Final = 4096
"""As many durations are kept at most until they go to the metrics."""
_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where this is set, other processes read the metrics out of files, whenever they like."""


def is_shared() -> bool:
    """Say whether other processes read the metrics."""
    return bool(os.environ.get(_SHARED))


class _Value(Protocol):
    def inc(self, amount: float, /) -> None: ...


class Tally:
    """Requests of one kind, and how long each took; or another quantity of a histogram, without a counter."""

    def __init__(self, counter: Counter | None, durations: Histogram | Summary, most: int = _MOST) -> None:
        self._counter, self._durations, self._most = counter, durations, most
        self._kept = Kept()

    def note(self, seconds: float) -> None:
        """Count a request."""
        noted = self._kept.numbers
        noted.append(seconds)
        if len(noted) >= self._most:
            self.publish()

    def publish(self) -> None:
        """Add what was counted to the metrics."""
        self.note_all(self._kept.take())

    def note_all(self, durations: Sequence[float], untimed: int = 0) -> None:
        """Count several requests, in the metrics at once; those whose time is not known took as long as the others."""
        count = len(durations) + untimed
        if self._counter is not None and count:
            self._counter.inc(count)
        if len(durations):
            _observe(self._durations, durations, count)


def _observe(metric: Histogram | Summary, durations: Sequence[float], count: int) -> None:
    """Observe several at once: looking for the bucket of each takes a histogram longer."""
    cast("_Value", metric._sum).inc(sum(durations) * count / len(durations))
    if isinstance(metric, Summary):
        cast("_Value", metric._count).inc(count)
        return
    bounds = metric._upper_bounds
    found = np.bincount(np.searchsorted(bounds, durations), minlength=len(bounds))
    shares = found * count // len(durations)
    # What does not come out even goes where most are.
    shares[found.argmax()] += count - shares.sum()
    buckets = cast("Sequence[_Value]", metric._buckets)
    for bucket, share in zip(buckets, shares.tolist(), strict=True):
        if share:
            bucket.inc(share)


class Ledger:
    """Tallies whose metrics are brought up to date when they are collected."""

    def __init__(
        self,
        metrics: Sequence[Counter | Histogram | Summary],
        registry: CollectorRegistry = REGISTRY,
        *,
        may_lag: bool = False,
    ) -> None:
        """Take metrics over; those that may lag are told to other processes when somebody calls `publish`."""
        self._tallies: list[Tally] = []
        self._asked: list[WeakMethod[Callable[[], None]]] = []
        self._most = 1 if is_shared() and not may_lag else _MOST
        for metric in metrics:
            # In the metric's place: whoever collects it gets what was counted, too.
            registry.unregister(metric)
            registry.register(_Current(metric, self))

    def open(self, counter: Counter | None, durations: Histogram | Summary) -> Tally:
        """Return a tally that counts in two metrics, or in one."""
        tally = Tally(counter, durations, self._most)
        self._tallies.append(tally)
        return tally

    def ask(self, publish: Callable[[], None]) -> None:
        """Have a method called before the metrics are brought up to date, for as long as its owner is there."""
        self._asked = [each for each in self._asked if each() is not None] + [WeakMethod(publish)]

    def publish(self) -> None:
        """Bring the metrics up to date."""
        for asked in self._asked:
            if publish := asked():
                publish()
        for tally in list(self._tallies):
            tally.publish()


class _Current:
    """A metric that is brought up to date before it is collected."""

    def __init__(self, metric: Counter | Histogram | Summary, ledger: Ledger) -> None:
        self._metric, self._ledger = metric, ledger

    def collect(self) -> Iterable[Metric]:
        """Return the metric's samples."""
        self._ledger.publish()
        return self._metric.collect()

    def describe(self) -> Iterable[Metric]:
        """Return the metric without samples."""
        return self._metric.describe()
