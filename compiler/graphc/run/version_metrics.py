"""What the versions of a graph count, in one text: each engine's figures under its predictor's name."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from graphc.engine.metrics import Metrics


class VersionMetrics:
    """The engines' figures with the label `predictor`, and what became of copies."""

    def __init__(self, engines: Mapping[str, Metrics]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Labelled(engines))
        self._copies = Counter(
            "graphc_mirrored_requests",
            "Copies of requests for shadows, by what became of them.",
            ("predictor", "outcome"),
            registry=self._registry,
        )

    def count_copy(self, predictor: str, outcome: str) -> None:
        """Count one copy."""
        self._copies.labels(predictor, outcome).inc()

    async def render(self) -> bytes:
        """Write everything in Prometheus's text form."""
        return generate_latest(self._registry)


class _Labelled(Collector):
    def __init__(self, engines: Mapping[str, Metrics]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        yield from join_metrics(
            ({"predictor": name}, engine.registry.collect()) for name, engine in self._engines.items()
        )


def join_metrics(found: Iterable[tuple[Mapping[str, str], Iterable[Metric]]]) -> Iterable[Metric]:
    """Join the metrics of several sources, which have the same names: the figures of each bear its labels."""
    joined: dict[str, Metric] = {}
    for labels, metrics in found:
        for metric in metrics:
            whole = joined.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            whole.samples += [each._replace(labels={**labels, **each.labels}) for each in metric.samples]
    return joined.values()
