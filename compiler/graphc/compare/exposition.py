"""The figures in Prometheus's text form."""

import math
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from graphc.compare.figures import Figures
from graphc.compare.measure import measure

_LABELS = ("namespace", "graph")
_METRICS = (
    "agreement",
    "errors",
    "faults",
    "max_error",
    "mean_error",
    "ks",
    "psi",
    "latency_p50",
    "latency_p99",
)


class _Figures(Collector):
    """Figures, read when they are asked for."""

    def __init__(
        self, figures: Mapping[tuple[str, str], Figures], refused: Mapping[str, int], evicted: int
    ) -> None:
        self._figures, self._refused, self._evicted = figures, refused, evicted

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of every graph."""
        pairs = CounterMetricFamily(
            "graphc_compare_pairs", "Pairs of answers.", labels=(*_LABELS, "candidate")
        )
        found = GaugeMetricFamily(
            "graphc_compare_value", "What gates are set on.", labels=(*_LABELS, "candidate", "metric")
        )
        left_out = CounterMetricFamily(
            "graphc_compare_left_out", "Answers not compared.", labels=(*_LABELS, "reason")
        )
        for key, figures in self._figures.items():
            for candidate, comparison in figures.candidates().items():
                pairs.add_metric((*key, candidate), comparison.overall.pairs)
                for metric in _METRICS:
                    value = measure(comparison.overall, metric, 0.0)
                    found.add_metric((*key, candidate, metric), value.value if value else math.nan)
            for reason, count in figures.left_out.items():
                left_out.add_metric((*key, reason), count)
        refused = CounterMetricFamily(
            "graphc_compare_refused", "Posts that were refused.", labels=("reason",)
        )
        for reason, count in self._refused.items():
            refused.add_metric((reason,), count)
        text = "Graphs that were put away, because they were silent or to make room."
        evicted = CounterMetricFamily("graphc_compare_evicted", text, self._evicted)
        yield from (pairs, found, left_out, refused, evicted)


def write_metrics(
    figures: Mapping[tuple[str, str], Figures], refused: Mapping[str, int], evicted: int = 0
) -> bytes:
    """Return the page that Prometheus scrapes."""
    registry = CollectorRegistry()
    registry.register(_Figures(figures, refused, evicted))
    return generate_latest(registry)
