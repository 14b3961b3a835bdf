"""The service on a cluster: takes what engines log, and serves reports and metrics.

An engine posts to `/live` or `/shadow`, as its predictor's `logger` says. It is answered at once: events are read, and
compared later. What is too much, too large, too slow or no event is refused and counted.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from graphc.compare.contents import Admission, Contents
from graphc.compare.decode import MOST_BYTES
from graphc.compare.exposition import write_metrics
from graphc.compare.intake import EventError, Intake, IntakeLimits, read_event
from graphc.compare.reading import open_store
from graphc.compare.recorder import Recorder, RecorderOptions
from graphc.compare.report import Report
from graphc.compare.start import DATABASE
from graphc.compare.store_problem import StoreError

if TYPE_CHECKING:
    from graphc.compare.store import Recording

MOST_GRAPHS: Final = 32
MOST_POSTS: Final = 64
POST_SECONDS: Final = 10.0
_EXPIRE_S: Final = 1.0

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where the service listens, and what it allows."""

    host: str = "0.0.0.0"
    port: int = 8080
    database: str | None = None
    post_seconds: float = POST_SECONDS
    intake: IntakeLimits = field(default_factory=IntakeLimits)
    busy: float = 0.8


@dataclass(frozen=True, slots=True)
class _Graph:
    recorder: Recorder
    intake: Intake
    run: str
    started: float
    contents: Contents


class CompareService:
    """The graphs that were heard of; each has a recorder of its own."""

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self._store = open_store(options.database) if options.database else None
        self._graphs: dict[Key, _Graph] = {}
        self._posts = 0
        self._ending = set[asyncio.Task[None]]()
        self.refused = Counter[str]()

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MOST_BYTES)
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
        keys = [key for key in self._graphs if name is None or key == (request.match_info["namespace"], name)]
        if len(keys) != 1:
            known = ", ".join(sorted("/".join(key) for key in self._graphs)) or "none"
            reason = "which graph?" if keys else "nothing was heard of that graph"
            return web.json_response({"error": f"{reason} Known: {known}"}, status=404)
        graph = self._graphs[keys[0]]
        report = Report(keys[0][1], graph.run, graph.started, time.time(), None, graph.recorder.figures())
        return web.json_response(report.to_plain())

    async def metrics(self, _: web.Request) -> web.Response:
        """Show the figures to Prometheus."""
        figures = {key: graph.recorder.figures() for key, graph in self._graphs.items()}
        return web.Response(
            body=write_metrics(figures, self.refused), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def health(self, _: web.Request) -> web.Response:
        """Say that the service runs."""
        return web.Response(text="ok\n")

    async def _take(self, request: web.Request, *, shadow: bool) -> web.Response:
        if self._posts >= MOST_POSTS:
            return self._refuse("busy", 503)
        self._posts += 1
        try:
            async with asyncio.timeout(self._options.post_seconds):
                body = await request.read()
        except TimeoutError:
            return self._refuse("slow", 408)
        except web.HTTPRequestEntityTooLarge:
            return self._refuse("too large", 413)
        finally:
            self._posts -= 1
        try:
            event = read_event(request.headers, body, shadow=shadow)
        except EventError as error:
            return self._refuse("no event", 400, str(error))
        key = event.namespace, event.graph
        graph = self._graph(key, request)
        if graph is None:
            return self._refuse("too many graphs", 503)
        match graph.contents.admit(event.predictor, request.query.get("content", ""), time.monotonic()):
            case Admission.OUTDATED:
                self.refused["outdated"] += 1
                return web.Response(status=202)
            case Admission.NEW:
                graph = self._begin_anew(key, request)
            case Admission.CURRENT:
                pass
        graph.intake.take(event, time.monotonic())
        return web.Response(status=202)

    def _refuse(self, reason: str, status: int, words: str | None = None) -> web.Response:
        self.refused[reason] += 1
        return web.json_response({"error": words or reason}, status=status)

    def _graph(self, key: Key, request: web.Request) -> _Graph | None:
        if key not in self._graphs:
            if len(self._graphs) >= MOST_GRAPHS:
                return None
            self._graphs[key] = self._begin(key, request, Contents())
        return self._graphs[key]

    def _begin_anew(self, key: Key, request: web.Request) -> _Graph:
        """Put away the figures of a predictor that is another one now; they stay in the database as a run."""
        before = self._graphs[key]
        ending = asyncio.create_task(asyncio.to_thread(before.recorder.close))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        self._graphs[key] = self._begin(key, request, before.contents)
        return self._graphs[key]

    def _begin(self, key: Key, request: web.Request, contents: Contents) -> _Graph:
        options = RecorderOptions(
            _share(request.query.get("sample", "1")), request.query.get("segment"), busy=self._options.busy
        )
        started, name = time.time(), f"{key[0]}/{key[1]}"[:253]
        recording = self._record(name, started)
        recorder = Recorder(options, recording)
        run = recording.run if recording else ""
        return _Graph(recorder, Intake(recorder, self._options.intake), run, started, contents)

    def _record(self, name: str, started: float) -> "Recording | None":
        try:
            return self._store.begin(name, started, None) if self._store else None
        except StoreError:
            # Figures in memory are better than none.
            self.refused["run not stored"] += 1
            return None

    async def _tending(self, _: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._expire())
        yield
        task.cancel()
        await asyncio.gather(*self._ending)
        for graph in self._graphs.values():
            await asyncio.to_thread(graph.recorder.close)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_S)
            for graph in self._graphs.values():
                graph.intake.expire(time.monotonic())


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 1.0
    return value if 0 < value <= 1 else 1.0


def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM."""
    web.run_app(
        CompareService(options).app(), host=options.host, port=options.port, print=None, access_log=None
    )


if __name__ == "__main__":
    try:
        serve(ServeOptions(database=os.environ.get(DATABASE)))
    except StoreError as problem:
        raise SystemExit(f"error: {problem}") from problem
