"""Writes a graph's rules for Prometheus: what is recorded, and what alerts on it."""

from collections.abc import Iterator
from typing import Final

from graphc.dashboards.queries import error_share, quantile, unanswered
from graphc.dashboards.watched import Watched, WatchedVersion, join_matchers
from graphc.engine_graph import MANAGED_BY, PART_OF
from graphc.ir.graph import Value
from graphc.records import record

Json = dict[str, Value]

ERRORS: Final = "graphc:request_errors:ratio_rate"
LATENCY: Final = "graphc:request_seconds:p99_rate"
WINDOWS: Final = ("5m", "30m", "1h", "6h")
SLOWEST_S: Final = 10.0
"""The largest bound of the histograms' buckets: no quantile is above it."""
_OF_DEADLINE: Final = 0.8
"""How near to the deadline a latency alerts: a request that reaches it fails, and counts among the errors."""


@record
class Objectives:
    """What the alerts hold a graph against."""

    success: float = 0.999
    """The share of the requests that may not fail."""
    latency_s: float | None = None
    """What the p99 has to stay below; where it is None, four fifths of the graph's deadline."""


@record
class _Burn:
    """A pair of windows, and how many times faster than allowed the budget of errors burns in both."""

    speed: str
    factor: float
    long: str
    short: str
    severity: str


_BURNS: Final = (_Burn("fast", 14.4, "1h", "5m", "page"), _Burn("slow", 6, "6h", "30m", "ticket"))


def find_latency(version: WatchedVersion, objectives: Objectives) -> float | None:
    """Return the seconds that a version's p99 has to stay below; None where nothing says it, or none can show it."""
    if objectives.latency_s is not None:
        return objectives.latency_s
    if version.deadline_ms is None:
        return None
    bound = version.deadline_ms / 1000 * _OF_DEADLINE
    return bound if bound < SLOWEST_S else None


def write_rules(watched: Watched, objectives: Objectives) -> Json:
    """Return the groups of rules as a rule file has them."""
    groups: list[Value] = []
    for version in watched.versions:
        name = f"graphc/{watched.namespace or ''}/{watched.name}/{version.name}".replace("//", "/")
        limit = find_latency(version, objectives)
        recorded: list[Value] = list(_record(watched, version, has_latency=limit is not None))
        groups.append({"name": f"{name}/recorded", "rules": recorded})
        alerts: list[Value] = list(_alert(watched, version, objectives, limit))
        groups.append({"name": f"{name}/alerts", "rules": alerts})
    return {"groups": groups}


def write_resource(watched: Watched, objectives: Objectives) -> Json:
    """Return the rules as a `PrometheusRule`, which Prometheus' operator reads."""
    metadata: Json = {"name": f"{watched.name}-graphc"}
    if watched.namespace:
        metadata["namespace"] = watched.namespace
    metadata["labels"] = {MANAGED_BY: "graphc", PART_OF: watched.name}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata,
        "spec": write_rules(watched, objectives),
    }


def _labels(watched: Watched, version: WatchedVersion) -> Json:
    labels: Json = {"graph": watched.name, "predictor": version.name}
    # A rule's label takes the place of one that its query gives.
    return {"namespace": watched.namespace, **labels} if watched.namespace else labels


def _select(watched: Watched, version: WatchedVersion) -> str:
    return join_matchers(*(f'{name}="{value}"' for name, value in _labels(watched, version).items()))


def _record(watched: Watched, version: WatchedVersion, *, has_latency: bool) -> Iterator[Json]:
    labels = _labels(watched, version)
    for window in WINDOWS:
        query = error_share(version.requests, window)
        yield {"record": f"{ERRORS}{window}", "expr": query, "labels": dict(labels)}
    if has_latency:
        for window in WINDOWS:
            query = quantile(version.requests, 0.99, window)
            yield {"record": f"{LATENCY}{window}", "expr": query, "labels": dict(labels)}


def _alert(
    watched: Watched, version: WatchedVersion, objectives: Objectives, limit: float | None
) -> Iterator[Json]:
    who = f"`{version.name}` of {watched.name}"
    labels, selected = _labels(watched, version), _select(watched, version)

    def write(name: str, query: str, wait: str, severity: str, summary: str, text: str) -> Json:
        return {
            "alert": name,
            "expr": query,
            "for": wait,
            "labels": {**labels, "severity": severity},
            "annotations": {"summary": summary, "description": text},
        }

    # No client sees what a shadow answers.
    for burn in () if version.is_shadow else _BURNS:
        bound = f"{burn.factor * (1 - objectives.success):.10g}"
        yield write(
            f"GraphcErrorsBurn{burn.speed.title()}",
            f"{ERRORS}{burn.long}{selected} > {bound} and {ERRORS}{burn.short}{selected} > {bound}",
            "2m",
            burn.severity,
            f"{who} fails too often",
            f"{{{{ $value | humanizePercentage }}}} of the requests failed in {burn.long}, and as many as that "
            f"in {burn.short}. Of {objectives.success * 100:.10g} % that have to succeed, the budget burns "
            f"{burn.factor:g} times too fast.",
        )
    for burn in () if version.is_shadow or limit is None else _BURNS:
        yield write(
            f"GraphcLatency{burn.speed.title()}",
            f"{LATENCY}{burn.long}{selected} > {limit:g} and {LATENCY}{burn.short}{selected} > {limit:g}",
            "2m",
            burn.severity,
            f"{who} is slow",
            f"The p99 is {{{{ $value | humanizeDuration }}}} in {burn.long}; it has to stay below {limit:g}s.",
        )
    if version.up:
        yield write(
            "GraphcUnitDown",
            f"up{{{version.up}}} == 0",
            "5m",
            "page",
            f"a unit of {who} does not answer",
            "Unit `{{ $labels.container }}` in the pod {{ $labels.pod }} gives Prometheus no answer.",
        )
    elif version.calls is not None:
        yield write(
            "GraphcUnitSilent",
            unanswered(version.calls, "5m"),
            "5m",
            "page",
            f"a unit of {who} does not answer",
            "Unit `{{ $labels.unit }}` is called and answers no request.",
        )
    for unit in version.units:
        if unit.stands_in:
            matchers = join_matchers(version.pages, f'unit="{unit.name}"')
            yield write(
                "GraphcFallbacksRising",
                _rising(f"graphc_node_fallbacks_total{matchers}"),
                "5m",
                "ticket",
                f"fallbacks of {who} rise",
                f"Something stands in for node `{{{{ $labels.node }}}}` of unit `{unit.name}` more than twice as often "
                "as in the six hours before.",
            )


def _rising(series: str) -> str:
    """Return the query for a counter that grows twice as fast as before, and by more than ten in half an hour."""
    now = f"sum by (node) (rate({series}[30m]))"
    before = f"sum by (node) (rate({series}[6h] offset 30m))"
    return f"{now} > 2 * ({before} or 0 * {now}) and sum by (node) (increase({series}[30m])) > 10"
