"""What the versions of a graph count, in one text: each engine's figures under its predictor's name."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

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
    """Joins the metrics of several registries, which have the same names."""

    def __init__(self, engines: Mapping[str, Metrics]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        joined: dict[str, Metric] = {}
        for predictor, engine in self._engines.items():
            for metric in engine.registry.collect():
                whole = joined.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                whole.samples += [_label(sample, predictor) for sample in metric.samples]
        yield from joined.values()


def _label(sample: Sample, predictor: str) -> Sample:
    return sample._replace(labels={"predictor": predictor, **sample.labels})
