"""What a unit tells Prometheus beside MLServer's own metrics, on the same page."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from graphc_runtimes.ledger import Ledger, is_shared

_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SECONDS: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)

_LAG_S: Final = 1.0

# Made late: MLServer and the workers decide first whether processes add theirs up.


@cache
def batch_rows() -> Histogram:
    """Return the histogram of the rows that ran together."""
    return Histogram("graphc_batch_rows", "Rows of the requests that ran together.", ["unit"], buckets=_ROWS)


@cache
def batch_requests() -> Histogram:
    """Return the histogram of the requests that ran together."""
    return Histogram("graphc_batch_requests", "Requests that ran together.", ["unit"], buckets=_ROWS)


@cache
def queue_seconds() -> Histogram:
    """Return the histogram of the time that requests waited for others to be done."""
    return Histogram("graphc_queue_seconds", "How long requests waited to run.", ["unit"], buckets=_SECONDS)


@cache
def batch_ledger() -> Ledger:
    """Return what keeps these three until somebody looks at them."""
    return Ledger((batch_rows(), batch_requests(), queue_seconds()))


@cache
def _node_seconds() -> Histogram:
    text = "How long each try of a node took."
    return Histogram("graphc_node_seconds", text, ["unit", "node"], buckets=_SECONDS)


@cache
def _node_counters() -> "dict[str, Counter]":
    texts = {
        "calls": "Tries of a node.",
        "failures": "Tries of a node that failed.",
        "retries": "Tries of a node after one that failed.",
        "timeouts": "Tries of a node that were given up, as they took too long.",
        "fallbacks": "Requests for which a node's policy stood in, as all tries had failed.",
    }
    return {name: Counter(f"graphc_node_{name}", text, ["unit", "node"]) for name, text in texts.items()}


@cache
def _node_ledger() -> Ledger:
    return Ledger((_node_seconds(), _node_counters()["calls"]), may_lag=True)


def publish() -> None:
    """Bring what may lag up to date."""
    _node_ledger().publish()


def keep_published(loop: asyncio.AbstractEventLoop) -> None:
    """Bring it up to date every second where other processes read the metrics: each try would cost more."""
    if is_shared():
        with suppress(Exception):
            publish()
        loop.call_later(_LAG_S, keep_published, loop)


class NodeCounts:
    """Counts the tries of one node of a unit."""

    def __init__(self, unit: str, node: str) -> None:
        counters = {name: each.labels(unit, node) for name, each in _node_counters().items()}
        tally = _node_ledger().open(counters["calls"], _node_seconds().labels(unit, node))
        self.note, self.note_all = tally.note, tally.note_all
        self._counters = counters

    def fail(self) -> None:
        """Count a try that failed."""
        self._counters["failures"].inc()

    def retry(self) -> None:
        """Count a try that follows one that failed."""
        self._counters["retries"].inc()

    def time_out(self) -> None:
        """Count a try that was given up."""
        self._counters["timeouts"].inc()

    def stand_in(self) -> None:
        """Count a request for which the node's policy stood in."""
        self._counters["fallbacks"].inc()


@cache
def node_counts(unit: str, node: str) -> NodeCounts:
    """Return what counts the tries of a node."""
    return NodeCounts(unit, node)


class NodeBooks:
    """Where the tries of a unit's nodes are counted."""

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def open(self, node: str) -> NodeCounts:
        """Return what counts the tries of a node."""
        return node_counts(self._unit, node)

    def ask(self, publish: Callable[[], None]) -> None:
        """Have a method called before the metrics are collected."""
        _node_ledger().ask(publish)


@cache
def faults() -> Counter:
    """Return the counter of unexpected errors: each has an id, and a line in the log."""
    return Counter("graphc_faults", "What failed that nobody foresaw; the log has each by its id.")


@cache
def cpu_models() -> Gauge:
    """Return the gauge of nodes that run another model, which is named for the CPU: 1 for each."""
    text = "Nodes that run the model named for the CPU in place of the other."
    return Gauge("graphc_cpu_model", text, ["unit", "node"], multiprocess_mode="max")


@cache
def cpu_operators() -> Gauge:
    """Return the gauge of operators that run on the CPU, of nodes that have a GPU."""
    text = "How many operators of a node's model run on the CPU, although it has a GPU."
    return Gauge("graphc_cpu_operators", text, ["unit", "node"], multiprocess_mode="max")


@cache
def device_fallback() -> Gauge:
    """Return the gauge of units that prefer a GPU: 1 where one does without, of any of its processes."""
    text = "Whether a unit that prefers a GPU runs on the CPU."
    return Gauge("graphc_device_fallback", text, ["unit"], multiprocess_mode="max")
