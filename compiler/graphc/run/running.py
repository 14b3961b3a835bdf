"""One run: the units of all its predictors, and the front that shares the requests among them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from graphc.compare.observer import Observer
from graphc.engine.faults import note_fault
from graphc.engine.limits import LimitError, Limits, read_limits
from graphc.engine.listen import Listener
from graphc.engine.service import ServedGraph
from graphc.engine_graph import ENGINE
from graphc.rollout.choose import Chooser
from graphc.rollout.describe import describe_rollout
from graphc.rollout.shares import Rollout
from graphc.run.console import RunConsole
from graphc.run.example import make_example, write_curl
from graphc.run.front import bind_units, describe_graph, infer_path, stands_alone
from graphc.run.logs import follow_logs
from graphc.run.plan import RunPlan, UnitProcess
from graphc.run.request import send_inputs, send_request
from graphc.run.signature import REGION, Signature
from graphc.run.supervisor import Failure, Patience, Supervisor
from graphc.run.unit_metrics import UnitMetrics
from graphc.run.versions import Mode, Tree, Versions
from graphc.seldon.deployment import Deployment, Predictor
from graphc.seldon.unit import SeldonUnit

Follow = Callable[[Callable[[Rollout], Awaitable[None]]], Coroutine[None, None, None]]
"""Calls what it is given whenever the requests are to be shared otherwise, until it is cancelled."""

SHADOW_SECONDS: Final = 60
"""How long the front waits for shadows once the live predictors are ready."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says about a run, the files apart."""

    predictor: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int = 8081
    claims: Mapping[str, Path] = field(default_factory=dict[str, Path])
    request: bytes | None = None
    once: bool = False
    seed: int | None = None
    inputs: Sequence[str] = ()
    lenient: bool = False
    """Whether more is answered than a cluster answers."""
    logs: bool = False
    """Whether what the units log is shown."""
    at: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where servers are that run already, by the names that the graph has for them."""


@dataclass(frozen=True, slots=True)
class Version:
    """A predictor that runs: its units, the time a call may take, and what is started for it."""

    predictor: Predictor
    tree: SeldonUnit
    timeout_s: float | None
    call_timeout_s: float | None = None
    plan: RunPlan = field(default_factory=lambda: RunPlan((), ()))

    @property
    def mode(self) -> Mode:
        """Who stands before the units on a cluster."""
        if stands_alone(self.predictor):
            return "unit"
        return "lenient" if ENGINE in self.predictor.annotations else "executor"

    @property
    def version(self) -> str | None:
        """The other name of the version, which graphc tells the units."""
        told = (each.env.get("GRAPHC_VERSIONS", "") for each in self.plan.processes)
        names = (name for each in told for name in each.split(",") if name != self.predictor.name)
        return next(names, None) or None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What runs of a deployment, and how the requests are shared."""

    deployment: Deployment
    rollout: Rollout
    versions: tuple[Version, ...]

    @property
    def main(self) -> Version:
        """The version that answers most of what nothing else is asked of."""
        shares = self.rollout.ways[-1].shares
        first = max(shares, key=lambda share: share.weight).predictor
        return next(each for each in self.versions if each.predictor.name == first)

    @property
    def shadows(self) -> set[str]:
        """The names of the predictors that only get copies."""
        return {each.predictor for each in self.rollout.mirrors}

    @property
    def processes(self) -> list[UnitProcess]:
        """All that is started for it."""
        return [process for each in self.versions for process in each.plan.started]


@dataclass(frozen=True, slots=True)
class Fresh:
    """What is to be started: who hears of its answers, and what is left to do when it has ended."""

    chosen: Chosen
    observer: Observer | None = None
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Served:
    """What serves: its units are ready, and end with `stack`."""

    chosen: Chosen
    supervisor: Supervisor
    signatures: Mapping[str, Signature]
    versions: Versions
    limits: Limits
    stack: AsyncExitStack

    @property
    def signature(self) -> Signature:
        """What clients are told of the version that answers most."""
        return self.signatures[self.chosen.main.predictor.name]


Watch = Callable[["Run"], Coroutine[None, None, None]]
"""Lets a run take over what changes in its files, until it is cancelled."""


class Run:
    """Brings the artefacts, starts the units, serves, and ends all of it."""

    def __init__(
        self,
        chosen: Chosen,
        options: RunOptions,
        console: RunConsole,
        observer: Observer | None,
        follow: Follow | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.console = console
        self.serving = False
        self._first = Fresh(chosen, observer)
        self._options, self._follow, self._watch = options, follow, watch
        self._served: Served | None = None
        self._listener: Listener | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._switched, self._ending = asyncio.Event(), asyncio.Event()
        self._lost: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        """Serve until a live unit gives up, or for one request."""
        begun = await self._begin(self._first)
        if isinstance(begun, str):
            return self._fail(begun)
        self._served = begun
        try:
            return await self._serve(begun)
        finally:
            self._ending.set()
            await self._served.stack.aclose()
            if self._retiring:
                await asyncio.wait(self._retiring)

    async def replace(self, fresh: Fresh) -> str | None:
        """Start what changed, and let it take over once it is ready; return what stood in its way.

        What served before goes on until then. It answers the requests that it has, and ends.
        """
        began = asyncio.get_running_loop().time()
        begun = await self._begin(fresh)
        if isinstance(begun, str):
            return begun
        before, listener = self._served, self._listener
        assert before is not None, "only what serves is replaced"
        assert listener is not None, "only what serves is replaced"
        begun.versions.start()
        self._served = begun
        drained = listener.switch(begun.versions.rest, begun.versions.calls, begun.versions.below)
        self._switched.set()
        retiring = asyncio.create_task(self._retire(before, drained))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        took = asyncio.get_running_loop().time() - began
        self.console.say(f"reloaded after {took:.1f} s: {self._address(begun, listener)}")
        return None

    async def share(self, rollout: Rollout) -> None:
        """Share the next requests among what serves as another rollout says."""
        if self._served is not None:
            await self._served.versions.share(rollout)

    async def _retire(self, served: Served, drained: Coroutine[None, None, None]) -> None:
        """End what served before, once it has answered, or all ends."""
        waiting = {asyncio.create_task(drained), asyncio.create_task(self._ending.wait())}
        grace_s = served.versions.grace_s
        done, left = await asyncio.wait(waiting, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        for each in left:
            await _cancel(each)
        if not done:
            self.console.say("warning: requests that the graph from before had for long are given up")
        await served.versions.stop()
        await served.stack.aclose()

    async def _begin(self, fresh: Fresh) -> Served | str:
        """Start the units and wait until they are ready; return what stood in the way."""
        stack = AsyncExitStack()
        try:
            begun = await self._enter(fresh, stack)
        except BaseException:
            await stack.aclose()
            raise
        if isinstance(begun, str):
            await stack.aclose()
        return begun

    async def _enter(self, fresh: Fresh, stack: AsyncExitStack) -> Served | str:
        chosen = fresh.chosen
        # Closed last: the ends of the units and the last answers are still told.
        # In a thread: what takes over by then is not to wait for it.
        stack.push_async_callback(asyncio.to_thread, fresh.close)
        if fresh.observer is not None:
            stack.push_async_callback(asyncio.to_thread, fresh.observer.close)
        if problem := await self._fetch(chosen):
            return problem
        if self._options.logs:
            # Ended after the units: their last lines are shown too.
            logs = {each.title: each.log for each in chosen.processes}
            stack.push_async_callback(_cancel, asyncio.create_task(follow_logs(logs, self.console.say)))
        shadows = {
            each.predictor.name: await stack.enter_async_context(self._supervise([each]))
            for each in chosen.versions
            if each.predictor.name in chosen.shadows
        }
        live = [each for each in chosen.versions if each.predictor.name not in chosen.shadows]
        supervisor = await stack.enter_async_context(self._supervise(live))
        failure = await self._wait_ready(chosen, supervisor, [*shadows.values()])
        if failure:
            return str(failure)
        try:
            limits = read_limits()
        except LimitError as problem:
            return str(problem)
        signatures = {each.predictor.name: await _describe(chosen, each) for each in chosen.versions}
        versions = self._open(fresh, signatures, limits)
        served = Served(chosen, supervisor, signatures, versions, limits, stack)
        for name, each in shadows.items():
            watching = asyncio.create_task(self._watch_shadow(served, name, each))
            stack.push_async_callback(_cancel, watching)
        return served

    async def _fetch(self, chosen: Chosen) -> str | None:
        for fetch in (fetch for each in chosen.versions for fetch in each.plan.fetches):
            with self.console.waiting(f"fetching the artefact of `{fetch.unit}`"):
                problem = await _fetch(fetch.argv, fetch.env)
            if problem:
                return f"unit `{fetch.unit}` lacks its artefact: {problem}"
        return None

    def _supervise(self, versions: Sequence[Version]) -> Supervisor:
        processes = [process for each in versions for process in each.plan.started]
        return Supervisor(processes, self.console.say, Patience())

    async def _wait_ready(
        self, chosen: Chosen, live: Supervisor, shadows: Sequence[Supervisor]
    ) -> Failure | None:
        count = sum(len(each.plan.processes) for each in chosen.versions)
        servers = sum(len(each.plan.servers) for each in chosen.versions)
        beside = f" and {servers} server{'s' if servers != 1 else ''}" if servers else ""
        with self.console.waiting(f"starting {count} unit{'s' if count != 1 else ''}{beside}"):
            waiting = [asyncio.create_task(each.wait_ready()) for each in shadows]
            try:
                failure = await live.wait_ready()
                if failure is None and waiting:
                    await asyncio.wait(waiting, timeout=SHADOW_SECONDS)
                return failure
            finally:
                for task in waiting:
                    await _cancel(task)

    async def _watch_shadow(self, served: Served, name: str, shadow: Supervisor) -> None:
        """Say that a shadow has given up; no client waits for its answers, unless it was promoted meanwhile."""
        failure = await shadow.watch()
        if served is self._served and name in served.versions.live:
            if not self._lost.done():
                self._lost.set_result(failure)
            return
        self.console.say(f"warning: {failure}\nthe run goes on without this shadow")

    def _open(self, fresh: Fresh, signatures: Mapping[str, Signature], limits: Limits) -> Versions:
        options, chosen = self._options, fresh.chosen
        trees = {
            each.predictor.name: Tree(
                bind_units(each.tree, each.plan.processes),
                _graph(signatures[each.predictor.name]),
                each.timeout_s,
                each.call_timeout_s,
                "lenient" if options.lenient else each.mode,
                each.version,
            )
            for each in chosen.versions
        }
        # A seed makes a run repeatable; nothing here is a secret.
        chooser = Chooser(chosen.deployment.name, chosen.rollout, random.Random(options.seed))
        units = UnitMetrics(
            {
                each.predictor.name: [process.ports.metrics for process in each.plan.processes]
                for each in chosen.versions
            }
        )
        return Versions(trees, chooser, fresh.observer, limits=limits, say=self.console.say, units=units)

    async def _serve(self, begun: Served) -> int:
        options, versions = self._options, begun.versions
        switches = self._watch is not None
        listener = Listener(options.host, options.port, options.grpc_port, begun.limits, switches=switches)
        versions.start()
        self._listener = listener
        following: asyncio.Task[None] | None = None
        try:
            await listener.start(versions.rest, versions.calls, versions.below)
            self.serving = True
            if self._watch is not None:
                following = asyncio.create_task(self._watch(self))
            elif self._follow is not None:
                following = asyncio.create_task(self._follow(versions.share))
            if following is not None:
                following.add_done_callback(self._followed)
            return await self._answer(listener)
        except OSError as failure:
            return self._fail(f"cannot listen: {failure.strerror or failure}")
        finally:
            if following is not None:
                await _cancel(following)
            now = self._served or begun
            await listener.stop(now.versions.grace_s)
            await now.versions.stop()

    def _followed(self, following: asyncio.Task[None]) -> None:
        fault = None if following.cancelled() else following.exception()
        if fault is not None:
            self.console.say(
                f"warning: the file is followed no more: {note_fault('following the file', fault)}"
            )

    async def _answer(self, listener: Listener) -> int:
        url = self._summarise(listener)
        options = self._options
        if options.request is not None or options.inputs:
            problem = await (
                send_inputs(url, options.inputs)
                if options.request is None
                else send_request(url, options.request)
            )
            if problem:
                self.console.say(f"error: {problem}")
            if self._options.once:
                return 1 if problem else 0
        elif self._options.once:
            return 0
        return self._fail(str(await self._await_failure()))

    async def _await_failure(self) -> Failure:
        """Return when a unit that clients need has died too often."""
        while True:
            self._switched.clear()
            assert self._served is not None, "what serves is watched over"
            watching = asyncio.create_task(self._served.supervisor.watch())
            switching = asyncio.create_task(self._switched.wait())
            try:
                await asyncio.wait({watching, switching, self._lost}, return_when=asyncio.FIRST_COMPLETED)
                if self._lost.done():
                    return self._lost.result()
                if watching.done() and not switching.done():
                    return watching.result()
            finally:
                await _cancel(watching)
                await _cancel(switching)

    def _fail(self, message: str) -> int:
        self.console.say(f"error: {message}")
        return 1

    def _summarise(self, listener: Listener) -> str:
        """Say what runs and where; return the URL that answers what nothing else is asked of."""
        served = self._served
        assert served is not None, "what serves is told"
        processes = served.chosen.processes
        rows = [
            (each.title, str(each.ports.http), str(each.ports.grpc), str(each.ports.metrics))
            for each in processes
        ]
        self.console.table(("unit", "http", "grpc", "metrics"), rows)
        if len(served.chosen.versions) > 1:
            self.console.say(describe_rollout(served.chosen.rollout))
        signature, url = served.signature, self._address(served, listener)
        self.console.say(f"{signature.name}: {url}")
        self.console.say(f"gRPC: grpc://{self._options.host}:{listener.grpc_port}/{signature.name}")
        self.console.say(f"metrics: http://{self._options.host}:{listener.http_port}/metrics")
        if logs := common_place([each.log for each in processes]):
            self.console.say(f"logs: {logs}")
        if body := make_example(signature.inputs):
            self.console.say(write_curl(url, body))
        return url

    def _address(self, served: Served, listener: Listener) -> str:
        """Return the URL that answers what nothing else is asked of."""
        main = served.chosen.main
        path = infer_path(main.tree, served.signature, foreign=_are_foreign(main.plan.processes))
        first = served.chosen.rollout.ways[-1].match.path
        base = f"http://{self._options.host}:{listener.http_port}"
        return f"{base}{f'/{first}' if first else ''}{path}"


async def _describe(chosen: Chosen, version: Version) -> Signature:
    tree = bind_units(version.tree, version.plan.processes)
    return await describe_graph(chosen.deployment.name, tree, version.plan.processes)


def _graph(signature: Signature) -> ServedGraph:
    return ServedGraph(signature.name, signature.to_metadata())


def common_place(logs: Sequence[Path]) -> str:
    """Return where logs are: one path, or a pattern that a shell makes them of."""
    parts = [each.parts for each in logs]
    if len({len(each) for each in parts}) != 1:
        return ""
    common = (next(iter(each)) if len(each) == 1 else "*" for each in map(set, zip(*parts, strict=True)))
    return str(Path(*common))


def _are_foreign(processes: Sequence[UnitProcess]) -> bool:
    return not any(REGION in each.env for each in processes)


async def _cancel(task: "asyncio.Task[object]") -> None:
    task.cancel()
    # What it ended of has been told where it ended.
    await asyncio.wait({task})


async def _fetch(argv: Sequence[str], env: Mapping[str, str]) -> str | None:
    process = await asyncio.create_subprocess_exec(
        *argv, env=dict(env), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode == 0:
        return None
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else f"exit status {process.returncode}"
