"""A running engine: one tree of units behind V2 ports, for `graphc engine` and `graphc run`."""

from dataclasses import dataclass

from graphc.engine.call_walk import SeldonCalls
from graphc.engine.calls import CallClient
from graphc.engine.client import UnitClient
from graphc.engine.grpc_front import Answering
from graphc.engine.grpc_lenient import ConvertedCalls
from graphc.engine.limits import Limits, read_limits
from graphc.engine.listen import Listener
from graphc.engine.metrics import Metrics
from graphc.engine.reports import Receiver, Reporter
from graphc.engine.service import ServedGraph, Service
from graphc.seldon.unit import SeldonUnit


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where an engine listens and what it is called; port 0 takes a free one, no gRPC port serves none."""

    host: str = "127.0.0.1"
    http_port: int = 0
    grpc_port: int | None = None
    graph: ServedGraph | None = None
    full_health_checks: bool = False
    unit_timeout_s: float | None = None
    call_timeout_s: float | None = None
    limits: Limits | None = None
    """What it takes at most; the environment's where none are given."""
    report: Receiver | None = None
    """Who is told of the answers."""
    as_seldon: bool = False
    """Whether it refuses what the executor cannot do, and calls units over gRPC for a call that came so."""


class Engine:
    """Serves one tree from `start` to `stop`; units without an endpoint answer with an error."""

    def __init__(self, root: SeldonUnit, options: EngineOptions) -> None:
        self._root = root
        self._options = options
        self._client: UnitClient | None = None
        self._calls: CallClient | None = None
        self._reporter: Reporter | None = None
        self._limits = options.limits or read_limits()
        self._listener = Listener(options.host, options.http_port, options.grpc_port, self._limits)

    @property
    def http_port(self) -> int:
        """The port bound for HTTP."""
        return self._listener.http_port

    @property
    def grpc_port(self) -> int | None:
        """The port bound for gRPC, if any."""
        return self._listener.grpc_port

    async def start(self) -> None:
        """Bind the ports; raises OSError where one cannot be had, and leaves nothing open."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End what runs, requests in flight first."""
        # A graph with a longer deadline than the grace has that time to answer.
        await self._listener.stop(max(self._limits.grace_s, self._options.unit_timeout_s or 0))
        if self._reporter:
            await self._reporter.close()
        self._reporter = None
        if self._client:
            await self._client.close()
        if self._calls:
            await self._calls.close()
        self._client = self._calls = None

    async def _start(self) -> None:
        options, metrics = self._options, Metrics()
        self._client = UnitClient(metrics, options.unit_timeout_s, self._limits)
        if options.report is not None:
            self._reporter = Reporter(options.report, metrics)
            self._reporter.start()
        service = Service(
            self._root,
            self._client,
            metrics,
            options.graph,
            options.full_health_checks,
            options.as_seldon,
            watch=self._reporter,
        )
        await self._listener.start(service, self._answer_calls(service, metrics))

    def _answer_calls(self, service: Service, metrics: Metrics) -> Answering:
        if not self._options.as_seldon:
            return ConvertedCalls(service, _versions_of(self._options.graph))
        timeout_s = self._options.call_timeout_s or self._limits.unit_timeout_s
        self._calls = CallClient(metrics, timeout_s)
        return SeldonCalls(self._root, self._calls)


def _versions_of(graph: ServedGraph | None) -> frozenset[str]:
    """Return the versions that a graph's metadata names; none where it names none."""
    named = graph.describe().get("versions") if graph is not None else None
    return (
        frozenset(each for each in named if isinstance(each, str)) if isinstance(named, list) else frozenset()
    )
