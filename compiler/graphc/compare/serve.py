"""The service on a cluster: takes what engines log, and serves reports and metrics.

An engine posts to `/live` or `/shadow`, as its predictor's `logger` says. It is answered at once: events are read, and
compared later. What is too much, too large, too slow, no event, or not of the pod that posts it is refused and counted.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from aiohttp import web
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
from graphc.unexpected import note_unexpected

if TYPE_CHECKING:
    from graphc.compare.store import Store

MOST_POSTS: Final = 64
POST_SECONDS: Final = 10.0
_TEND_S: Final = 1.0
_LOG: Final = logging.getLogger("graphc.compare")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
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
        self._posts = 0
        self._is_tending = True

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[_answer_errors])
        app.router.add_post("/live", self.take_live)
        app.router.add_post("/shadow", self.take_shadow)
        app.router.add_get("/report", self.report)
        app.router.add_get("/report/{namespace}/{graph}", self.report)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/healthz", self.health)
        app.cleanup_ctx.append(self._tending)
        return app

    async def take_live(self, request: web.Request) -> web.Response:
        """Take an event of a predictor that answers clients."""
        return await self._take(request, shadow=False)

    async def take_shadow(self, request: web.Request) -> web.Response:
        """Take an event of a shadow."""
        return await self._take(request, shadow=True)

    async def report(self, request: web.Request) -> web.Response:
        """Answer with a graph's report; the graph may be left out where there is one."""
        name = request.match_info.get("graph")
        wanted = None if name is None else (request.match_info["namespace"], name)
        found = [(key, graph) for key, graph in self._graphs if wanted in {None, key}]
        if len(found) != 1:
            known = ", ".join(sorted("/".join(key) for key, _ in self._graphs))[:2000] or "none"
            reason = "which graph?" if found else "nothing was heard of that graph"
            return web.json_response({"error": f"{reason} Known: {known}"}, status=404)
        ((key, graph),) = found
        report = Report(key[1], graph.run, graph.started, time.time(), None, graph.recorder.figures())
        return web.json_response(report.to_plain())

    async def metrics(self, _: web.Request) -> web.Response:
        """Show the figures to Prometheus."""
        figures = {key: graph.recorder.figures() for key, graph in self._graphs}
        counted = Counter(self.refused)
        counted.update(self._graphs.failures)
        return web.Response(
            body=write_metrics(figures, counted, self._graphs.evicted),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    async def health(self, _: web.Request) -> web.Response:
        """Say whether the service compares what it takes."""
        works = self._is_tending and all(graph.recorder.is_working for _, graph in self._graphs)
        return web.Response(
            text="ok\n" if works else "answers are not compared\n", status=200 if works else 503
        )

    async def _take(self, request: web.Request, *, shadow: bool) -> web.Response:
        try:
            event = read_event(request.headers, b"", shadow=shadow)
        except EventError as error:
            return self._refuse("no event", 400, str(error))
        origin = Origin(event.namespace, event.graph, event.predictor)
        try:
            if not await self._options.trust.admits(request.remote or "", origin):
                return self._refuse("not a pod of the graph", 403)
        except TrustError as error:
            return self._refuse("origin unknown", 503, str(error))
        if self._posts >= MOST_POSTS:
            return self._refuse("busy", 503)
        body = await self._read(request)
        return body if isinstance(body, web.Response) else self._keep(request, event.with_body(body))

    async def _read(self, request: web.Request) -> bytes | web.Response:
        self._posts += 1
        try:
            async with asyncio.timeout(self._options.post_seconds):
                return await request.read()
        except TimeoutError:
            return self._refuse("slow", 408)
        except web.HTTPRequestEntityTooLarge:
            return self._refuse("too large", 413)
        finally:
            self._posts -= 1

    def _keep(self, request: web.Request, event: Event) -> web.Response:
        key, now = (event.namespace, event.graph), time.monotonic()
        options = self._options_of(request.query)
        graph = self._graphs.find(key, options, now)
        if graph is None:
            return self._refuse("too many graphs", 503)
        match graph.contents.admit(event.predictor, request.query.get("content", ""), now):
            case Admission.OUTDATED:
                self.refused["outdated"] += 1
            case Admission.NEW:
                self._graphs.begin_anew(key, options, now).intake.take(event, now)
            case Admission.CURRENT:
                graph.intake.take(event, now)
        return web.Response(status=202)

    def _options_of(self, query: Mapping[str, str]) -> RecorderOptions:
        return RecorderOptions(
            _share(query.get("sample", "1")), query.get("segment"), busy=self._options.busy
        )

    def _refuse(self, reason: str, status: int, words: str | None = None) -> web.Response:
        self.refused[reason] += 1
        # What was not read of a body is not read: the connection ends with the answer.
        headers = {"Connection": "close"} | ({"Retry-After": "1"} if status == 503 else {})
        return web.json_response({"error": words or reason}, status=status, headers=headers)

    async def _tending(self, _: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._tend())
        yield
        task.cancel()
        await self._graphs.close()
        await self._options.trust.close()

    async def _tend(self) -> None:
        try:
            while True:
                await asyncio.sleep(_TEND_S)
                self._graphs.tend(time.monotonic())
        finally:
            # The end of this task is told by the health check, not found out years later.
            self._is_tending = False


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


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what nobody expected with an id, and log the id without what was sent."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return web.json_response({"error": error.reason.lower()}, status=error.status)
    except Exception as error:
        identity = note_unexpected(_LOG, "a request", error)
        return web.json_response({"error": f"the service failed (id {identity})"}, status=500)


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
    """Serve until SIGTERM."""
    web.run_app(
        CompareService(options).app(), host=options.host, port=options.port, print=None, access_log=None
    )


if __name__ == "__main__":
    try:
        options = ServeOptions(database=os.environ.get(DATABASE))
        serve(replace(options, trust=choose_trust(None, options.host)))
    except (StoreError, TrustError) as problem:
        raise SystemExit(f"error: {problem}") from problem
