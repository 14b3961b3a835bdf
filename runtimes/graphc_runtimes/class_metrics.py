"""The metrics of users' own classes, on the unit's page under the names that the classes give them.

They are what Seldon's language wrapper shows of `{"type", "key", "value", "tags"}`: a COUNTER as `key_total`, a GAUGE
as `key`, and a TIMER, which is in milliseconds, as a histogram `key` in seconds. Labels are the tags, `method`, the
node as `model_name`, and what Seldon's operator tells the container of its deployment and predictor.
"""

import logging
import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, cast

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Kind = Literal["COUNTER", "GAUGE", "TIMER"]

_LOG: Final = logging.getLogger("mlserver.graphc")
_KINDS: Final[Mapping[object, Kind]] = {"COUNTER": "COUNTER", "GAUGE": "GAUGE", "TIMER": "TIMER"}
_TYPES: Final[Mapping[Kind, str]] = {"COUNTER": "counter", "GAUGE": "gauge", "TIMER": "histogram"}
_TEXT: Final = "Told by the user's own class."
_LEAST_S, _MOST_S, _STEPS = 0.001, 30.0, 49
_SECONDS: Final = tuple(_LEAST_S * (_MOST_S / _LEAST_S) ** (step / _STEPS) for step in range(_STEPS + 1))
"""The bounds of a timer's buckets: fifty from a millisecond to half a minute, each as many times the one before."""
_MILLISECONDS: Final = 1000
MOST_SERIES: Final = 10_000
"""As many combinations of labels one metric has; a class that labels by what clients send would fill the memory."""
_OF_OPERATOR: Final = {"deployment_name": "SELDON_DEPLOYMENT_ID", "predictor_name": "PREDICTOR_ID"}


class MetricError(ValueError):
    """A metric is not one that can be shown; the message says why."""


class _Family(Collector):
    """All that is told under one name: metrics by the names of their labels, which may differ from call to call."""

    def __init__(self, name: str, kind: Kind) -> None:
        # Prometheus' client adds the ending that a counter's samples have.
        self.name = name.removesuffix("_total") if kind == "COUNTER" else name
        self.kind: Kind = kind
        self._metrics: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}
        self._series: set[tuple[tuple[str, str], ...]] = set()
        self._is_full = False

    def note(self, value: float, labels: Mapping[str, str]) -> None:
        """Take a value in, unless the metric has more series than anybody looks at."""
        key = tuple(sorted(labels.items()))
        if key not in self._series:
            if len(self._series) >= MOST_SERIES:
                self._say_full()
                return
            self._series.add(key)
        names = tuple(name for name, _ in key)
        metric = self._metrics.get(names)
        if metric is None:
            metric = self._metrics[names] = self._make(names)
        values = [text for _, text in key]
        match metric:
            case Counter():
                metric.labels(*values).inc(value)
            case Gauge():
                metric.labels(*values).set(value)
            case Histogram():
                metric.labels(*values).observe(value / _MILLISECONDS)

    def _say_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            _LOG.warning(
                "the metric `%s` has %d combinations of labels; no more are kept", self.name, MOST_SERIES
            )

    def _make(self, names: Sequence[str]) -> Counter | Gauge | Histogram:
        # Not in the registry, which would have one set of labels for a name.
        match self.kind:
            case "COUNTER":
                return Counter(self.name, _TEXT, names, registry=None)
            case "GAUGE":
                return Gauge(self.name, _TEXT, names, registry=None, multiprocess_mode="mostrecent")
            case "TIMER":
                return Histogram(self.name, _TEXT, names, registry=None, buckets=_SECONDS)

    def describe(self) -> Iterable[Metric]:
        """Return the metric without samples, by which the registry knows its names."""
        return [Metric(self.name, _TEXT, _TYPES[self.kind])]

    def collect(self) -> Iterable[Metric]:
        """Return all samples as those of one metric."""
        whole = Metric(self.name, _TEXT, _TYPES[self.kind])
        for metric in list(self._metrics.values()):
            for each in metric.collect():
                whole.samples += each.samples
        return [whole]


_FAMILIES: Final[dict[str, _Family]] = {}
_CHANGING: Final = threading.Lock()


class ClassMetrics:
    """Takes in the metrics that the class of one node tells."""

    def __init__(self, node: str, method: str) -> None:
        self._labels = {"method": method, "model_name": node} | {
            label: told for label, name in _OF_OPERATOR.items() if (told := os.environ.get(name))
        }

    def note(self, metrics: Sequence[object]) -> None:
        """Take metrics in; raises MetricError for the first that is none."""
        read = [_read(each) for each in metrics]
        with _CHANGING:
            families = [_find(name, kind) for kind, name, _, _ in read]
            for family, (_, _, value, tags) in zip(families, read, strict=True):
                try:
                    family.note(value, tags | self._labels)
                except ValueError as error:
                    raise MetricError(f"Prometheus does not take: {error}") from None


def _read(metric: object) -> tuple[Kind, str, float, dict[str, str]]:
    found = cast("Mapping[object, object]", metric if isinstance(metric, Mapping) else {})
    kind, name = _KINDS.get(found.get("type")), found.get("key")
    if kind is None or not isinstance(name, str):
        raise MetricError("has no `key`, or no `type` of COUNTER, GAUGE and TIMER")
    tags = cast("object", found.get("tags") or {})
    if not isinstance(tags, Mapping):
        raise MetricError(f"`{name}` has `tags` that are no dict")
    labels = {str(label): str(text) for label, text in cast("Mapping[object, object]", tags).items()}
    return kind, name, _number(name, kind, found.get("value")), labels


def _number(name: str, kind: Kind, value: object) -> float:
    try:
        number = float(cast("float", value))
    except (TypeError, ValueError):
        raise MetricError(f"`{name}` has a `value` that is no number") from None
    if kind == "COUNTER" and not (number >= 0 and math.isfinite(number)):
        raise MetricError(f"`{name}` counts down, and is a COUNTER")
    return number


def _find(name: str, kind: Kind) -> _Family:
    family = _FAMILIES.get(name)
    if family is None:
        family = _Family(name, kind)
        try:
            REGISTRY.register(family)
        except ValueError:
            raise MetricError(
                f"`{name}` has a name that is no metric's, or that another metric has"
            ) from None
        _FAMILIES[name] = family
    if family.kind != kind:
        raise MetricError(f"`{name}` is a {kind}, and was a {family.kind} before")
    return family
