"""The service on a cluster: takes what engines log, and serves reports and metrics.

An engine posts to `/live` or `/shadow`, as its predictor's `logger` says. It is answered at once: events are read, and
compared later. What is too much, too large, too slow, no event, or not of the pod that posts it is refused and counted.
"""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qsl, unquote

from prometheus_client import CONTENT_TYPE_LATEST

from graphc.compare.contents import Admission
from graphc.compare.decode import MOST_BYTES
from graphc.compare.exposition import write_metrics
from graphc.compare.intake import Event, EventError, IntakeLimits, read_event
from graphc.compare.reading import open_store
from graphc.compare.recorder import Archive, RecorderOptions
from graphc.compare.report import Report
from graphc.compare.start import DATABASE
from graphc.compare.store_problem import StoreError
from graphc.compare.tracked import TrackedGraphs, TrackedLimits
from graphc.compare.trust import HOST, ApiServer, Everybody, Origin, PodsOfGraph, Trust, TrustError
from graphc.engine.connection import PEER, Response, refusal
from graphc.engine.faults import note_fault
from graphc.engine.heads import Head
from graphc.engine.http_server import HttpServer
from graphc.engine.limits import Limits, Room

if TYPE_CHECKING:
    from graphc.compare.plain import Plain
    from graphc.compare.store import Store

POST_SECONDS: Final = 10.0
IN_FLIGHT: Final = 64 << 20
"""Bytes of the posts that are read at one time."""
_TEND_S: Final = 1.0
_GRACE_S: Final = 5.0
_MOST_KNOWN: Final = 2000

_METHODS: Final = {
    "/live": "POST",
    "/shadow": "POST",
    "/report": "GET",
    "/metrics": "GET",
    "/healthz": "GET",
}

TrustName = Literal["pods", "anybody"]


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where the service listens, whom it believes, and what it allows."""

    host: str = "0.0.0.0"
    port: int = 8080
    database: str | None = None
    post_seconds: float = POST_SECONDS
    intake: IntakeLimits = field(default_factory=IntakeLimits)
    tracked: TrackedLimits = field(default_factory=TrackedLimits)
    busy: float = 0.8
    trust: Trust = field(default_factory=Everybody)


class CompareService:
    """The graphs that were heard of; each has a recorder of its own."""

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self.refused = Counter[str]()
        runs = _Runs(open_store(options.database) if options.database else None, self.refused)
        self._graphs = TrackedGraphs(runs, options.tracked, options.intake)
        self._server: HttpServer | None = None
        self._tending: asyncio.Task[None] | None = None

    def refuse(self, head: Head) -> Response | None:
        """Answer what is at no path here, and what is too large, without its body."""
        method = _METHODS.get(head.path) or ("GET" if head.path.startswith("/report/") else None)
        if method is None:
            return refusal(404, "nothing is at this path")
        if head.method != method and not (head.method == "HEAD" and method == "GET"):
            return refusal(405, f"this path takes {method} alone", (("Allow", method),))
        if head.length is not None and head.length > MOST_BYTES:
            return self._refuse("too large", 413, f"a post has at most {MOST_BYTES} bytes")
        return None

    async def answer(self, head: Head, body: bytes) -> Response:
        """Answer a request; an unexpected error is told by an id, and logged under it without what was sent."""
        try:
            return self.refuse(head) or await self._answer(head, body)
        except Exception as error:
            return refusal(500, note_fault("a request", error))

    async def start(self) -> int:
        """Listen; return the port. Raises OSError."""
        options = self._options
        limits = Limits(
            max_body=MOST_BYTES, in_flight=IN_FLIGHT, read_timeout_s=options.post_seconds, grace_s=_GRACE_S
        )
        self._server = HttpServer(self, limits, Room(limits.in_flight))
        self._tending = asyncio.create_task(self._tend())
        return await self._server.start(options.host, options.port)

    async def stop(self) -> None:
        """Take nothing more, and store what was compared."""
        if self._server is not None:
            await self._server.stop(_GRACE_S)
        if self._tending is not None:
            self._tending.cancel()
        await self._graphs.close()
        await self._options.trust.close()

    async def _answer(self, head: Head, body: bytes) -> Response:
        match head.path:
            case "/live" | "/shadow":
                return await self._take(head, body, shadow=head.path == "/shadow")
            case "/metrics":
                return self._metrics()
            case "/healthz":
                return self._health()
            case _:
                return self._report([unquote(each) for each in head.path.split("/")[2:]])

    def _report(self, names: list[str]) -> Response:
        """Answer with a graph's report; the graph may be left out where there is one."""
        found = [(key, graph) for key, graph in self._graphs if names in ([], [*key])]
        if len(found) != 1:
            known = ", ".join(sorted("/".join(key) for key, _ in self._graphs))[:_MOST_KNOWN] or "none"
            return refusal(
                404, f"{'which graph?' if found else 'nothing was heard of that graph'} Known: {known}"
            )
        ((key, graph),) = found
        report = Report(key[1], graph.run, graph.started, time.time(), None, graph.recorder.figures())
        return _json(report.to_plain())

    def _metrics(self) -> Response:
        """Show the figures to Prometheus."""
        figures = {key: graph.recorder.figures() for key, graph in self._graphs}
        counted = Counter(self.refused)
        counted.update(self._graphs.failures)
        page = write_metrics(figures, counted, self._graphs.evicted)
        return Response(200, page, (("Content-Type", CONTENT_TYPE_LATEST),))

    def _health(self) -> Response:
        """Say whether the service compares what it takes."""
        is_tending = self._tending is not None and not self._tending.done()
        if is_tending and all(graph.recorder.is_working for _, graph in self._graphs):
            return Response(200, b"ok\n", (("Content-Type", "text/plain"),))
        return refusal(503, "answers are not compared")

    async def _take(self, head: Head, body: bytes, *, shadow: bool) -> Response:
        try:
            event = read_event({name.title(): value for name, value in head.headers}, body, shadow=shadow)
        except EventError as error:
            return self._refuse("no event", 400, str(error))
        origin = Origin(event.namespace, event.graph, event.predictor)
        try:
            if not await self._options.trust.admits(PEER.get(), origin):
                return self._refuse("not a pod of the graph", 403)
        except TrustError as error:
            return self._refuse("origin unknown", 503, str(error))
        return self._keep(dict(parse_qsl(head.target.partition("?")[2])), event)

    def _keep(self, query: Mapping[str, str], event: Event) -> Response:
        key, now = (event.namespace, event.graph), time.monotonic()
        options = self._options_of(query)
        graph = self._graphs.find(key, options, now)
        if graph is None:
            return self._refuse("too many graphs", 503)
        match graph.contents.admit(event.predictor, query.get("content", ""), now):
            case Admission.OUTDATED:
                self.refused["outdated"] += 1
            case Admission.NEW:
                self._graphs.begin_anew(key, options, now).intake.take(event, now)
            case Admission.CURRENT:
                graph.intake.take(event, now)
        return Response(202)

    def _options_of(self, query: Mapping[str, str]) -> RecorderOptions:
        return RecorderOptions(
            _share(query.get("sample", "1")), query.get("segment"), busy=self._options.busy
        )

    def _refuse(self, reason: str, status: int, words: str | None = None) -> Response:
        self.refused[reason] += 1
        return refusal(status, words or reason, (("Retry-After", "1"),) if status == 503 else ())

    async def _tend(self) -> None:
        # The end of this task is told by the health check, not found out years later.
        while True:
            await asyncio.sleep(_TEND_S)
            self._graphs.tend(time.monotonic())


@dataclass(frozen=True, slots=True)
class _Runs:
    """Begins runs in a database, if there is one."""

    store: "Store | None"
    refused: Counter[str]

    def begin(self, name: str, started: float) -> tuple[str, Archive | None]:
        """Return the run's name and where its figures go."""
        try:
            recording = self.store.begin(name, started, None) if self.store else None
        except StoreError:
            # Figures in memory are better than none.
            self.refused["run not stored"] += 1
            return "", None
        return (recording.run, recording) if recording else ("", None)


def _json(value: "Plain") -> Response:
    return Response(200, json.dumps(value).encode(), (("Content-Type", "application/json"),))


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 1.0
    return value if 0 < value <= 1 else 1.0


def choose_trust(name: TrustName | None, host: str, environment: Mapping[str, str] = os.environ) -> Trust:
    """Return whom the service believes; raises TrustError where that has to be said.

    On a cluster pods are asked about. Elsewhere whoever reaches loopback is believed.
    """
    if name == "pods" or (name is None and environment.get(HOST)):
        return PodsOfGraph(ApiServer.of_pod(environment))
    if name == "anybody" or host in {"127.0.0.1", "::1", "localhost"}:
        return Everybody()
    raise TrustError(f"on `{host}` strangers can post: say whom to believe, `pods` or `anybody`")


def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM; raises OSError where the port cannot be had."""
    asyncio.run(_serve(CompareService(options)))


async def _serve(service: CompareService) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await service.start()
        await stopped.wait()
    finally:
        await service.stop()


if __name__ == "__main__":
    try:
        options = ServeOptions(database=os.environ.get(DATABASE))
        serve(replace(options, trust=choose_trust(None, options.host)))
    except (OSError, StoreError, TrustError) as problem:
        raise SystemExit(f"error: {problem}") from problem
