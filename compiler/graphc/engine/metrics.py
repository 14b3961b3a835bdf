"""Counts and latencies of the units' calls and of the clients' requests, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest


class Metrics:
    """What one engine counts; several engines live in one process without meeting."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._unit_calls = Counter(
            "graphc_engine_unit_requests",
            "Calls to units.",
            ("unit", "call", "code"),
            registry=self._registry,
        )
        self._unit_seconds = Histogram(
            "graphc_engine_unit_request_seconds",
            "Time from a call to a unit until its answer.",
            ("unit", "call"),
            registry=self._registry,
        )
        self._requests = Counter(
            "graphc_engine_requests", "Inferences that clients asked for.", ("code",), registry=self._registry
        )
        self._reports = Counter(
            "graphc_engine_reports",
            "Answers that a service that compares versions was to be told of.",
            ("outcome",),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "graphc_engine_request_seconds", "Time from a request until its answer.", registry=self._registry
        )

    def count_unit(self, unit: str, call: str, code: str, seconds: float) -> None:
        """Count one call to a unit; the code is `none` where no answer came."""
        self._unit_calls.labels(unit, call, code).inc()
        self._unit_seconds.labels(unit, call).observe(seconds)

    def count_request(self, status: int, seconds: float) -> None:
        """Count one inference."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def count_report(self, outcome: str) -> None:
        """Count an answer of which a service was told, or not: `sent`, `failed` or `dropped`."""
        self._reports.labels(outcome).inc()

    @property
    def registry(self) -> CollectorRegistry:
        """All that is counted, for who gathers several engines."""
        return self._registry

    async def render(self) -> bytes:
        """Write everything in Prometheus's text form."""
        return generate_latest(self._registry)
